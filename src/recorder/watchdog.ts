import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/logger.ts'
import {
  deletedMark,
  isDeleted,
  type OpenFile,
  type OpenFiles,
  type OpenFilesSource,
} from '../daemon/open-files.ts'
import { closedName, parseSegmentName } from '../segments/segment-name.ts'
import type { FfmpegRun } from './ffmpeg-run.ts'
import { stallVerdict } from './stall-verdict.ts'

const sweepEveryMs = 5000

/** The segment that a run is writing, as the last sweep saw it. */
export interface CurrentFile {
  file: string
  bytes: number
  growing: boolean
}

interface Watched {
  run: FfmpegRun
  current?: { file: string; size: number; mtimeMs: number; growing: boolean }
  fileDeleted: boolean
  seenOpenMs: number
  seenWrittenMs: number
}

/** Ends every FFmpeg that has stalled; its camera's loop then starts another. */
export class Watchdog {
  readonly #openFiles: OpenFiles
  readonly #stallAfterMs: number
  readonly #clock: Clock
  readonly #log: Log
  readonly #watched = new Map<FfmpegRun, Watched>()

  constructor(options: { openFiles: OpenFiles; stallAfterMs: number; clock: Clock; log: Log }) {
    this.#openFiles = options.openFiles
    this.#stallAfterMs = options.stallAfterMs
    this.#clock = options.clock
    this.#log = options.log
  }

  /** Watches a run until it ends. */
  watch(run: FfmpegRun): void {
    const now = this.#clock.monotonicMs()
    this.#watched.set(run, { run, fileDeleted: false, seenOpenMs: now, seenWrittenMs: now })
    void run.ended.then(() => this.#watched.delete(run))
  }

  /** What a run is writing; undefined until a sweep has seen it. */
  currentFile(run: FfmpegRun): CurrentFile | undefined {
    const current = this.#watched.get(run)?.current
    return current && { file: current.file, bytes: current.size, growing: current.growing }
  }

  /** Sweeps every 5 s until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let source: OpenFilesSource = 'lsof'
    while (!signal.aborted) {
      await this.#sweep()
      if (source !== this.#openFiles.source) {
        source = this.#openFiles.source
        if (source === 'lsof') this.#log.info({}, 'lsof works again')
        else this.#log.warn({ instead: source }, 'lsof cannot be run: is it installed?')
      }
      await this.#clock.sleep(sweepEveryMs, signal)
    }
  }

  async #sweep(): Promise<void> {
    const watched = [...this.#watched.values()].filter(({ run }) => run.pid !== undefined)
    const files = await this.#openFiles.of(watched.map(({ run }) => run.pid ?? 0))
    for (const one of watched) await this.#look(one, files)
  }

  async #look(watched: Watched, files: OpenFile[] | undefined): Promise<void> {
    const { run } = watched
    await this.#lookAtFile(watched, files)
    const now = this.#clock.monotonicMs()
    const facts = {
      runningMs: now - run.startedMs,
      alive: isAlive(run.pid),
      fileDeleted: watched.fileDeleted,
      noOpenFileMs: files && now - watched.seenOpenMs,
      unwrittenMs: files ? now - watched.seenWrittenMs : 0,
      noVideoMs: now - run.videoRoseMs,
      aheadMs: run.aheadMs,
      frozenTimeMs: now - (run.frozenSinceMs ?? now),
    }
    const stall = stallVerdict(facts, this.#stallAfterMs)
    if (stall) run.stalled(stall)
  }

  async #lookAtFile(watched: Watched, files: OpenFile[] | undefined): Promise<void> {
    const now = this.#clock.monotonicMs()
    const { run } = watched
    const own = files?.filter((file) => isOf(run, file)) ?? []
    const mine = own.find(({ path }) => !deletedMark.test(path))
    watched.fileDeleted = !mine && (await Promise.all(own.map(isDeleted))).includes(true)
    if (!mine) return
    watched.seenOpenMs = now
    const stats = await stat(mine.path).catch(() => undefined)
    if (!stats) return
    const { size, mtimeMs } = stats
    const before = watched.current
    const file = closedName(basename(mine.path))
    const growing = before?.file !== file || before.size !== size || before.mtimeMs !== mtimeMs
    if (growing) watched.seenWrittenMs = now
    watched.current = { file, size, mtimeMs, growing }
  }
}

function isOf({ pid, camera }: FfmpegRun, file: OpenFile): boolean {
  const name = closedName(basename(file.path.replace(deletedMark, '')))
  return file.pid === pid && parseSegmentName(name)?.camera === camera.name
}

function isAlive(pid: number | undefined): boolean {
  try {
    process.kill(pid ?? 0, 0)
    return pid !== undefined
  } catch {
    return false
  }
}

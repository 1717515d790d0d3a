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
import type { ProblemLog } from '../daemon/problem-log.ts'
import { SteadyRate } from '../daemon/steady-rate.ts'
import { closedName, parseSegmentName } from '../segments/segment-name.ts'
import type { FfmpegRun } from './ffmpeg-run.ts'
import { stallVerdict } from './stall-verdict.ts'

/** lsof costs 10 ms of CPU. */
const lookEveryMs = 5000
const judgeEveryMs = 1000
/** So long after the connection video is there, unless the camera makes it wait. */
const waitingAfterMs = 3000

/** The segment that a run is writing, as the last look saw it. */
export interface CurrentFile {
  file: string
  bytes: number
  growing: boolean
  /** As of the last looks; absent before the second. */
  bitsPerSecond?: number | undefined
  fps?: number | undefined
}

interface Watched {
  run: FfmpegRun
  current?: CurrentFile
  readonly bytesRate: SteadyRate
  readonly framesRate: SteadyRate
  fileDeleted: boolean
  seenOpenMs: number
  seenWrittenMs: number
  /** As of the last look. */
  noOpenFileMs: number | undefined
  unwrittenMs: number
  saidThatItWaits: boolean
}

export interface WatchdogOptions {
  openFiles: OpenFiles
  stallAfterMs: number
  clock: Clock
  problems: ProblemLog
  log: Log
}

/** Ends every FFmpeg that has stalled; its camera's loop then starts another. */
export class Watchdog {
  readonly #openFiles: OpenFiles
  readonly #stallAfterMs: number
  readonly #clock: Clock
  readonly #problems: ProblemLog
  readonly #log: Log
  readonly #watched = new Map<FfmpegRun, Watched>()

  constructor(options: WatchdogOptions) {
    this.#openFiles = options.openFiles
    this.#stallAfterMs = options.stallAfterMs
    this.#clock = options.clock
    this.#problems = options.problems
    this.#log = options.log
  }

  /** Watches a run until it ends. */
  watch(run: FfmpegRun): void {
    const now = this.#clock.monotonicMs()
    this.#watched.set(run, {
      run,
      fileDeleted: false,
      bytesRate: new SteadyRate(),
      framesRate: new SteadyRate(),
      seenOpenMs: now,
      seenWrittenMs: now,
      noOpenFileMs: 0,
      unwrittenMs: 0,
      saidThatItWaits: false,
    })
    void run.ended.then(() => this.#watched.delete(run))
  }

  /** What a run is writing; undefined until a look has seen it. */
  currentFile(run: FfmpegRun): CurrentFile | undefined {
    return this.#watched.get(run)?.current
  }

  /** Looks at open files every 5 s, and judges every second, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#lookAtFiles(signal), this.#judge(signal)])
  }

  async #lookAtFiles(signal: AbortSignal): Promise<void> {
    let source: OpenFilesSource = 'lsof'
    while (!signal.aborted) {
      const watched = [...this.#watched.values()].filter(({ run }) => run.pid !== undefined)
      const files = await this.#openFiles.of(watched.map(({ run }) => run.pid ?? 0))
      for (const one of watched) await this.#look(one, files)
      if (source !== this.#openFiles.source) {
        source = this.#openFiles.source
        if (source === 'lsof') this.#log.info({}, 'lsof works again')
        else this.#log.warn({ instead: source }, 'lsof cannot be run: is it installed?')
      }
      await this.#clock.sleep(lookEveryMs, signal)
    }
  }

  async #judge(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const watched of this.#watched.values()) this.#judgeOne(watched)
      await this.#clock.sleep(judgeEveryMs, signal)
    }
  }

  #judgeOne(watched: Watched): void {
    const { run, noOpenFileMs, unwrittenMs } = watched
    if (run.pid === undefined) return
    const now = this.#clock.monotonicMs()
    const facts = {
      alive: isAlive(run.pid),
      fileDeleted: watched.fileDeleted,
      hasBegun: run.frames > 0,
      noOpenFileMs,
      unwrittenMs,
      noVideoMs: now - run.videoRoseMs,
      aheadMs: run.aheadMs,
      frozenTimeMs: now - (run.frozenSinceMs ?? now),
    }
    const stall = stallVerdict(facts, this.#stallAfterMs)
    if (stall) run.stalled(stall)
    else if (!facts.hasBegun && now - (run.connectedMs ?? now) >= waitingAfterMs)
      this.#sayThatItWaits(watched)
  }

  #sayThatItWaits(watched: Watched): void {
    if (watched.saidThatItWaits) return
    watched.saidThatItWaits = true
    const camera = watched.run.camera.name
    const reason = 'the camera is connected, but has sent no keyframe yet'
    this.#problems.report(camera, reason, { camera, reason }, 'not recording')
  }

  async #look(watched: Watched, files: OpenFile[] | undefined): Promise<void> {
    const now = this.#clock.monotonicMs()
    // There is no file before there is video to write.
    if (watched.run.frames === 0) watched.seenOpenMs = watched.seenWrittenMs = now
    await this.#lookAtFile(watched, now, files)
    watched.noOpenFileMs = files && now - watched.seenOpenMs
    watched.unwrittenMs = files ? now - watched.seenWrittenMs : 0
  }

  async #lookAtFile(watched: Watched, now: number, files: OpenFile[] | undefined): Promise<void> {
    const { run } = watched
    const own = files?.filter((file) => isOf(run, file)) ?? []
    const mine = own.find(({ path }) => !deletedMark.test(path))
    watched.fileDeleted = !mine && (await Promise.all(own.map(isDeleted))).includes(true)
    if (!mine) return
    watched.seenOpenMs = now
    const { bytes } = mine
    const before = watched.current
    const file = closedName(basename(mine.path))
    const growing = before?.file !== file || before.bytes !== bytes
    if (growing) watched.seenWrittenMs = now
    const { bytesRate, framesRate } = watched
    // What the file before got at its end nobody has seen.
    if (before?.file === file) bytesRate.look(bytes, now)
    else bytesRate.restart(bytes, now)
    framesRate.look(run.frames, now)
    const bitsPerSecond = bytesRate.perSecond && Math.round(bytesRate.perSecond * 8)
    const fps = framesRate.perSecond && Math.round(framesRate.perSecond * 10) / 10
    watched.current = { file, bytes, growing, bitsPerSecond, fps }
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

import { basename } from 'node:path'
import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/logger.ts'
import {
  deletedMark,
  type OpenFile,
  type OpenFiles,
  type OpenFilesSource,
} from '../daemon/open-files.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'
import { SteadyRate } from '../daemon/steady-rate.ts'
import { closedName, parseSegmentName } from '../segments/segment-name.ts'
import type { FfmpegRun } from './ffmpeg-run.ts'
import type { RecordingFaults } from './recording-faults.ts'
import type { RunSegments } from './run-segments.ts'
import { stallVerdict } from './stall-verdict.ts'

/** lsof costs 10 ms of CPU; while frames come and files grow, it has little to tell. */
const lookEveryMs = 60_000
const lookAgainMs = 5000
const judgeEveryMs = 1000
/** So long after the connection video is there, unless the camera makes it wait. */
const waitingAfterMs = 3000
/** A file that has not grown for longer is looked at by lsof as well. */
const growsEveryMs = 10_000

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
  segments: RunSegments
  faults: RecordingFaults
  current?: CurrentFile
  readonly bytesRate: SteadyRate
  readonly framesRate: SteadyRate
  /** When lsof first saw no file of it open, and none since; monotonic. */
  unseenSinceMs: number | undefined
  /** As of the last look; undefined where open files can't be seen. */
  noOpenFileMs: number | undefined
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
  #source: OpenFilesSource = 'lsof'
  #lookedMs = -Infinity

  constructor(options: WatchdogOptions) {
    this.#openFiles = options.openFiles
    this.#stallAfterMs = options.stallAfterMs
    this.#clock = options.clock
    this.#problems = options.problems
    this.#log = options.log
  }

  /** Watches a run until it ends. */
  watch(run: FfmpegRun, segments: RunSegments, faults: RecordingFaults): void {
    this.#watched.set(run, {
      ...{ run, segments, faults, bytesRate: new SteadyRate(), framesRate: new SteadyRate() },
      unseenSinceMs: undefined,
      noOpenFileMs: 0,
      saidThatItWaits: false,
    })
    void run.ended.then(() => this.#watched.delete(run))
  }

  /** What a run is writing; undefined until a look has seen it. */
  currentFile(run: FfmpegRun): CurrentFile | undefined {
    return this.#watched.get(run)?.current
  }

  /** Judges every second, and looks at open files where that is due, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const sinceMs = this.#clock.monotonicMs() - this.#lookedMs
      if (sinceMs >= (this.#isAllWell() ? lookEveryMs : lookAgainMs)) await this.#look()
      for (const watched of this.#watched.values()) this.#judge(watched)
      await this.#clock.sleep(judgeEveryMs, signal)
    }
  }

  /** Whether frames come, and files grow, in every run that has begun. */
  #isAllWell(): boolean {
    const nowMs = this.#clock.monotonicMs()
    return [...this.#watched.values()].every(({ run, segments, unseenSinceMs }) => {
      const grewMs = segments.written?.grewMs ?? nowMs
      const isQuiet = nowMs - run.videoRoseMs > growsEveryMs || nowMs - grewMs > growsEveryMs
      return run.frames === 0 || (!isQuiet && unseenSinceMs === undefined)
    })
  }

  async #look(): Promise<void> {
    this.#lookedMs = this.#clock.monotonicMs()
    const watched = [...this.#watched.values()].filter(({ run }) => run.pid !== undefined)
    if (watched.length === 0) return
    const files = await this.#openFiles.of(watched.map(({ run }) => run.pid ?? 0))
    const nowMs = this.#clock.monotonicMs()
    for (const one of watched) {
      // There is no file before there is video to write.
      const isOpen = files?.some((file) => isOf(one.run, file))
      if (one.run.frames === 0 || isOpen) one.unseenSinceMs = undefined
      else one.unseenSinceMs ??= nowMs
      one.noOpenFileMs = files && nowMs - (one.unseenSinceMs ?? nowMs)
    }
    if (this.#source === this.#openFiles.source) return
    this.#source = this.#openFiles.source
    if (this.#source === 'lsof') this.#log.info({}, 'lsof works again')
    else this.#log.warn({ instead: this.#source }, 'lsof cannot be run: is it installed?')
  }

  #judge(watched: Watched): void {
    const { run, noOpenFileMs, segments } = watched
    if (run.pid === undefined) return
    const now = this.#clock.monotonicMs()
    const { written } = segments
    this.#see(watched, now)
    const facts = {
      alive: isAlive(run.pid),
      fileDeleted: written?.isDeleted ?? false,
      isConnected: run.connectedMs !== undefined,
      hasBegun: run.frames > 0,
      noOpenFileMs,
      // A file may be opened long before there is video to write.
      unwrittenMs: written ? now - Math.max(written.grewMs, run.begunMs ?? now) : 0,
      noVideoMs: now - run.videoRoseMs,
    }
    const stall = stallVerdict(facts, this.#stallAfterMs)
    if (stall) run.stalled(stall)
    else if (facts.hasBegun) this.#compare(watched, now)
    else if (!facts.hasBegun && now - (run.connectedMs ?? now) >= waitingAfterMs)
      this.#sayThatItWaits(watched)
  }

  /** Whether what is written is what has come. */
  #compare({ run, segments: { written, isReadable }, faults }: Watched, nowMs: number): void {
    const { stream, begunMs, frames: framesPassed } = run
    if (!stream || begunMs === undefined || !written || !isReadable) return
    const { frames: framesWritten, sounds: soundsWritten } = written
    faults.see({ nowMs, begunMs, stream, framesPassed, framesWritten, soundsWritten })
  }

  /** For the status: the segment that is written, and how fast. */
  #see(watched: Watched, nowMs: number): void {
    const { run, segments, bytesRate, framesRate, current } = watched
    const { file: name, bytes = 0, grewMs = 0 } = segments.written ?? {}
    if (name === undefined) return
    const file = closedName(name)
    // What the file before got at its end nobody has seen.
    if (current?.file !== file) bytesRate.restart(bytes, nowMs)
    else if (bytes !== current.bytes) bytesRate.look(bytes, nowMs)
    framesRate.look(run.frames, nowMs)
    const bitsPerSecond = bytesRate.perSecond && Math.round(bytesRate.perSecond * 8)
    const fps = framesRate.perSecond && Math.round(framesRate.perSecond * 10) / 10
    const growing = nowMs - grewMs < growsEveryMs
    watched.current = { file, bytes, growing, bitsPerSecond, fps }
  }

  #sayThatItWaits(watched: Watched): void {
    if (watched.saidThatItWaits) return
    watched.saidThatItWaits = true
    const camera = watched.run.camera.name
    const reason = 'the camera is connected, but has sent no keyframe yet'
    this.#problems.report(camera, reason, { camera, reason }, 'not recording')
  }
}

function isOf({ pid, camera }: FfmpegRun, file: OpenFile): boolean {
  if (deletedMark.test(file.path)) return false
  return (
    file.pid === pid && parseSegmentName(closedName(basename(file.path)))?.camera === camera.name
  )
}

function isAlive(pid: number | undefined): boolean {
  try {
    process.kill(pid ?? 0, 0)
    return pid !== undefined
  } catch {
    return false
  }
}

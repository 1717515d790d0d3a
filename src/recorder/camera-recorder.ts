import { mkdir } from 'node:fs/promises'
import { isoAt, type Clock } from '../daemon/clock.ts'
import { DailyCount, type DayCount } from '../daemon/daily-count.ts'
import { describeError, type Log } from '../daemon/logger.ts'
import type { OpenFiles } from '../daemon/open-files.ts'
import type { Redactor } from '../daemon/redact.ts'
import type { Gaps } from '../segments/gaps.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'
import { withoutCredentials } from './camera-url.ts'
import { CameraGaps, gapReason, type Footage } from './camera-gaps.ts'
import { CameraSegments } from './camera-segments.ts'
import type { Camera } from './config.ts'
import { FfmpegRun, type RunEnd } from './ffmpeg-run.ts'
import type { Diagnosis } from './ffmpeg-diagnosis.ts'
import type { RecordingOptions } from './ffmpeg-args.ts'
import type { OpenSegments } from './open-segments.ts'
import type { PastFootage } from './past-footage.ts'
import { restartDelayMs, sessionPauseMs } from './restart-delay.ts'
import { probeStream, type StreamInfo, type StreamMemory } from './stream-probe.ts'
import type { CurrentFile, Watchdog } from './watchdog.ts'

export interface CameraRecorderDeps {
  options: RecordingOptions & { lockFolder: string; clock: Clock }
  streams: StreamMemory
  segments: OpenSegments
  gaps: Gaps
  watchdog: Watchdog
  openFiles: OpenFiles
  redactor: Redactor
  problems: ProblemLog
  log: Log
}

/** How a camera is, for the status file. */
export interface CameraStatus extends Partial<CurrentFile>, Footage {
  name: string
  state: 'starting' | 'recording' | 'waiting'
  /** Since when it has been recorded, or has not. */
  since: string
  url: string
  stream?: StreamInfo | undefined
  restarts: number
  restartsToday?: DayCount
  lastEnd?: { at: string; reason: string } | undefined
  problem?: string | undefined
}

/** Keeps one camera recording, for ever. */
export class CameraRecorder {
  readonly #camera: Camera
  readonly #deps: CameraRecorderDeps
  #state: CameraStatus['state'] = 'starting'
  #sinceMs: number
  #stream: StreamInfo | undefined
  #run: FfmpegRun | undefined
  #restarts = 0
  readonly #restartsToday: DailyCount
  #failures = 0
  /** Whether the last try ended because no video came in time. */
  #lateVideo = false
  #lastEnd: CameraStatus['lastEnd']
  #problemText: string | undefined
  readonly #segments: CameraSegments
  readonly #gaps: CameraGaps

  /** `past` is where an earlier recorder left off, if there was one. */
  constructor(camera: Camera, past: PastFootage | undefined, deps: CameraRecorderDeps) {
    this.#camera = camera
    this.#deps = deps
    const { clock } = deps.options
    this.#sinceMs = clock.monotonicMs()
    this.#restartsToday = new DailyCount(clock, past?.restartsToday)
    this.#segments = new CameraSegments(camera.name, { ...deps, clock })
    this.#gaps = new CameraGaps(camera.name, past, { ...deps, clock })
  }

  /** Records until the signal aborts; then the current segment has been finished. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps.options
    while (!signal.aborted) {
      this.#enter('starting')
      const startedMs = clock.monotonicMs()
      const end = await this.#attempt(signal)
      if (signal.aborted) return
      // That it sends something else is found at once, and not to be held against it.
      if (end.why !== 'stream changed') this.#failures += 1
      this.#gaps.failed(gapReason(end))
      const kind = end.why === 'ended' ? end.diagnosis.kind : undefined
      this.#lateVideo = kind === 'no video'
      const tookMs = clock.monotonicMs() - startedMs
      const delayMs = restartDelayMs({ failures: this.#failures, kind, tookMs }, Math.random())
      this.#reportEnd(end, delayMs)
      await clock.sleep(delayMs, signal)
      if (signal.aborted) return
      this.#restarts += 1
      this.#restartsToday.add()
    }
  }

  /** Puts what is recorded on the disk every few seconds, until the signal aborts. */
  async keepSynced(signal: AbortSignal): Promise<void> {
    await this.#segments.keepSynced(signal)
  }

  get status(): CameraStatus {
    const { clock } = this.#deps.options
    return {
      name: this.#camera.name,
      state: this.#state,
      since: isoAt(clock, this.#sinceMs),
      url: withoutCredentials(this.#camera.url),
      stream: this.#stream,
      restarts: this.#restarts,
      restartsToday: this.#restartsToday.today,
      lastEnd: this.#lastEnd,
      problem: this.#state === 'recording' ? undefined : this.#problemText,
      ...this.#gaps.status,
      ...(this.#run && this.#deps.watchdog.currentFile(this.#run)),
    }
  }

  /** One attempt; whatever nobody expected is a reason to try again, too. */
  async #attempt(signal: AbortSignal): Promise<RunEnd> {
    try {
      await mkdir(this.#deps.options.openFolder, { recursive: true })
      return await this.#tryToRecord(signal)
    } catch (error) {
      const diagnosis: Diagnosis = { kind: 'other', text: describeError(error) }
      return { why: 'ended', diagnosis }
    }
  }

  async #tryToRecord(signal: AbortSignal): Promise<RunEnd> {
    const stream = await this.#knownStream(signal)
    if (signal.aborted) return { why: 'stopped' }
    if ('kind' in stream) return { why: 'ended', diagnosis: stream }
    this.#stream = stream
    const end = await this.#record(stream, signal)
    if (end.why === 'locked') await this.#endHolder(end.lockFile)
    if (needsProbe(end)) await this.#deps.streams.forget(this.#camera)
    return end
  }

  async #knownStream(signal: AbortSignal): Promise<StreamInfo | Diagnosis> {
    const { streams, options, log } = this.#deps
    const known = await streams.recall(this.#camera)
    if (known) return known
    const how = { stallAfterMs: options.stallAfterMs, lateVideo: this.#lateVideo }
    const found = await probeStream(this.#camera, how, signal)
    if ('kind' in found) return found
    await streams.remember(this.#camera, found).catch((error: unknown) => {
      log.warn({ camera: this.#camera.name, error }, 'cannot remember what the camera sends')
    })
    // Old cameras mix two sessions when a client returns at once.
    await options.clock.sleep(sessionPauseMs, signal)
    return found
  }

  async #record(stream: StreamInfo, signal: AbortSignal): Promise<RunEnd> {
    const { options, watchdog, redactor, log } = this.#deps
    const camera = this.#camera.name
    const how = { ...options, lateVideo: this.#lateVideo }
    const run = new FfmpegRun(this.#camera, stream, how, {
      recording: () => this.#reportRecording(run.stream),
      footage: (totalMs) => this.#gaps.footage(totalMs),
      paused: (fromMs, toMs) => this.#gaps.paused(fromMs, toMs),
      segmentOpened: (file) => this.#segments.opened(file),
      segmentClosed: (file, seconds) => this.#segments.closed(file, seconds),
      line: (text) => log.debug({ camera, ffmpeg: redactor.scrub(text) }, 'FFmpeg says'),
    })
    this.#run = run
    watchdog.watch(run)
    const stop = (): void => run.stop()
    signal.addEventListener('abort', stop, { once: true })
    const end = await run.ended
    signal.removeEventListener('abort', stop)
    this.#run = undefined
    if (run.finishedSegment) this.#failures = 0
    // Locked out, it has written nothing: what lies in `open/` is still the other's.
    if (end.why !== 'locked') await this.#segments.closeAll()
    return end
  }

  /** An FFmpeg of an earlier recorder that a silent camera keeps from ending. */
  async #endHolder(lockFile: string): Promise<void> {
    const { openFiles, log } = this.#deps
    for (const { pid } of (await openFiles.at([lockFile])) ?? []) {
      if (pid === process.pid) continue
      log.warn({ camera: this.#camera.name, pid }, 'an earlier FFmpeg still records; ending it')
      endProcess(pid)
    }
  }

  #reportRecording(stream: StreamInfo): void {
    this.#stream = stream
    const { video, width, height, audio } = stream
    const camera = this.#camera.name
    const over = this.#deps.problems.over(camera)
    const before = over && { after: over.reason, tries: over.tries, since: over.since }
    const size = width && height ? `${width}x${height}` : undefined
    this.#enter('recording')
    this.#deps.log.info({ camera, video, size, audio, ...before }, 'recording started')
  }

  #reportEnd(end: RunEnd, delayMs: number): void {
    const { problems, options, redactor, log } = this.#deps
    const camera = this.#camera.name
    const reason = redactor.scrub(describeEnd(end))
    this.#enter('waiting')
    this.#problemText = reason
    this.#lastEnd = { at: new Date(options.clock.now()).toISOString(), reason }
    const nextTrySeconds = Math.round(delayMs / 100) / 10
    log.debug({ camera, reason, nextTrySeconds }, 'recording ended')
    problems.report(camera, reason, { camera, reason, nextTrySeconds }, 'not recording')
  }

  /** Tries that come to nothing are one time without a recording. */
  #enter(state: CameraStatus['state']): void {
    if (state === 'recording' || this.#state === 'recording')
      this.#sinceMs = this.#deps.options.clock.monotonicMs()
    this.#state = state
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended in this moment, and that was the point.
  }
}

/** Whether an end may mean that the camera doesn't send what was remembered of it. */
function needsProbe(end: RunEnd): boolean {
  if (end.why === 'stream changed') return true
  return end.why === 'ended' && end.diagnosis.kind === 'other'
}

function describeEnd(end: RunEnd): string {
  switch (end.why) {
    case 'stopped':
      return 'stopped'
    case 'stalled':
      if (end.stall === 'file deleted') return 'its file in recordings/open/ was deleted'
      return `the camera or FFmpeg has stalled: ${end.stall}`
    case 'stream changed':
      return `the camera now sends ${end.found}`
    case 'locked':
      return 'another FFmpeg of this installation records the camera'
    case 'ended':
      return end.diagnosis.text
  }
}

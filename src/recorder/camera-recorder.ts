import { mkdir } from 'node:fs/promises'
import { isoAt, type Clock, type HoldUps } from '../daemon/clock.ts'
import { DailyCount, type DayCount } from '../daemon/daily-count.ts'
import { proxyHost } from '../daemon/environment.ts'
import { describeError, type Log } from '../daemon/logger.ts'
import type { OpenFiles } from '../daemon/open-files.ts'
import type { Redactor } from '../daemon/redact.ts'
import type { FootageSpan } from '../segments/closed-segments.ts'
import type { Gaps } from '../segments/gaps.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'
import { hostOf, withoutCredentials } from './camera-url.ts'
import { closeAbandoned } from './abandoned-segments.ts'
import { CameraGaps, type Footage } from './camera-gaps.ts'
import type { Camera } from './config.ts'
import { lookAtConnection } from './connection-look.ts'
import { FfmpegLines } from './ffmpeg-lines.ts'
import { FfmpegRun } from './ffmpeg-run.ts'
import { misleading, sayHabit, type Diagnosis } from './ffmpeg-diagnosis.ts'
import { recordsSound, type RecordingOptions } from './ffmpeg-args.ts'
import type { OpenSegments } from './open-segments.ts'
import type { PastFootage } from './past-footage.ts'
import { RecordingFaults, type RecordingFault } from './recording-faults.ts'
import { explainRejection } from './rejection.ts'
import { strangersOf } from './remote-addresses.ts'
import { restartDelayMs } from './restart-delay.ts'
import {
  describeEnd,
  gapReason,
  isEndedByCamera,
  isEndedBySilence,
  isNoFault,
  type RunEnd,
} from './run-end.ts'
import { RunSegments } from './run-segments.ts'
import { SessionLengths } from './session-lengths.ts'
import type { StreamInfo, StreamMemory } from './stream-info.ts'
import type { CurrentFile, Watchdog } from './watchdog.ts'

export interface CameraRecorderDeps {
  options: RecordingOptions & { lockFolder: string; clock: Clock; holdUps: HoldUps }
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
  /** Where what is recorded isn't what the camera sends. */
  faults?: RecordingFault[]
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
  /** Facts about the last try by which the next is judged. */
  #before = { lateVideo: false, wasSilent: false }
  #saidWhereTo = false
  readonly #sessions = new SessionLengths()
  #lastEnd: CameraStatus['lastEnd']
  #problemText: string | undefined
  /** What the camera was found to send; undefined until it was, or was remembered. */
  #known: StreamInfo | undefined
  readonly #gaps: CameraGaps
  readonly #faults: RecordingFaults

  /** `past` is where an earlier recorder left off, if there was one. */
  constructor(camera: Camera, past: PastFootage | undefined, deps: CameraRecorderDeps) {
    this.#camera = camera
    this.#deps = deps
    const { clock } = deps.options
    this.#sinceMs = clock.monotonicMs()
    this.#restartsToday = new DailyCount(clock, past?.restartsToday)
    this.#faults = new RecordingFaults(camera, deps.log)
    this.#gaps = new CameraGaps(camera.name, past, { ...deps, clock })
  }

  /** Closes what an earlier recorder has left behind. */
  async adopt(claimed: string): Promise<void> {
    const { segments, log } = this.#deps
    const adopted = await closeAbandoned(segments, claimed)
    if (!adopted) return
    log.info({ ...adopted.closed }, 'segment of an earlier run finished')
    if (adopted.footage) this.#gaps.adopted(adopted.footage)
  }

  /** Records until the signal aborts; then the current segment has been finished. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#keepRecording(signal)
    await this.#gaps.noted()
  }

  async #keepRecording(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps.options
    this.#known = await this.#deps.streams.recall(this.#camera)
    while (!signal.aborted) {
      this.#enter('starting')
      const startedMs = clock.monotonicMs()
      const end = await this.#attempt(signal)
      if (signal.aborted) return
      const isFault = !isNoFault(end)
      if (isFault) this.#failures += 1
      this.#gaps.failed(gapReason(end))
      const kind = end.why === 'ended' ? end.diagnosis.kind : undefined
      this.#before = { lateVideo: kind === 'no video', wasSilent: isEndedBySilence(end) }
      const tookMs = clock.monotonicMs() - startedMs
      const failures = isFault ? this.#failures : 1
      const delayMs = restartDelayMs({ failures, kind, tookMs }, Math.random())
      if (end.why === 'stream changed') this.#learn(end.found)
      if (isFault || this.#state === 'recording') this.#reportEnd(end, delayMs)
      await clock.sleep(delayMs, signal)
      if (signal.aborted) return
      this.#restarts += 1
      this.#restartsToday.add()
    }
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
      faults: this.#state === 'recording' ? this.#faults.faults : [],
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
    if (signal.aborted) return { why: 'stopped' }
    this.#stream = this.#known
    const end = await this.#record(signal)
    if (end.why === 'locked') await this.#endHolder(end.lockFile)
    if (end.why !== 'ended') return end
    return { ...end, diagnosis: await explainRejection(this.#camera, end.diagnosis, signal) }
  }

  async #record(signal: AbortSignal): Promise<RunEnd> {
    const { options, watchdog, log, segments } = this.#deps
    const camera = this.#camera.name
    const how = { ...options, ...this.#before }
    const lines = new FfmpegLines(camera, { log, clock: options.clock })
    const looks: Promise<Diagnosis | undefined>[] = []
    const run = new FfmpegRun(this.#camera, this.#known, how, {
      connected: () => void looks.push(this.#lookWhereTo(run)),
      recording: () => {
        // A playlist's segments may be elsewhere.
        looks.push(this.#lookWhereTo(run))
        this.#reportRecording(run.stream)
      },
      footage: () => this.#gaps.alive(),
      segmentOpened: (file) => written.opened(file),
      segmentClosed: () => written.closed(),
      line: (text) => lines.add(text),
    })
    const recorded: Partial<FootageSpan> = {}
    const written = new RunSegments({
      ...{ camera, times: run.times, segments, clock: options.clock, log },
      onFootage: (span) => {
        recorded.fromMs ??= span.fromMs
        recorded.toMs = span.toMs
        this.#gaps.recorded(span)
      },
    })
    this.#run = run
    watchdog.watch(run, written, this.#faults)
    const stop = (): void => run.stop()
    signal.addEventListener('abort', stop, { once: true })
    const ended = new AbortController()
    const keptUp = written.keepUp(ended.signal)
    const lookedAt = lookAtConnection(run, how, ended.signal).then((found) => {
      if (found) run.refuse(found)
    })
    const end = await run.ended
    lines.finish()
    ended.abort()
    await Promise.all([keptUp, lookedAt])
    signal.removeEventListener('abort', stop)
    this.#run = undefined
    if (run.finishedSegment) this.#failures = 0
    // Locked out, it has written nothing: what is in `open/` is still the other's.
    if (end.why !== 'locked') await written.finish()
    // It may have ended by itself before it was refused.
    if (end.why !== 'ended') return this.#withHabit(end, recorded)
    const diagnosis = (await Promise.all(looks)).find((found) => found !== undefined)
    return diagnosis ? { why: 'ended', diagnosis } : this.#withHabit(end, recorded)
  }

  /** FFmpeg follows a camera's redirects and playlists; here it is seen where that has led. */
  async #lookWhereTo(run: FfmpegRun): Promise<Diagnosis | undefined> {
    const camera = this.#camera
    const hosts = [hostOf(camera.url), proxyHost()].filter((host) => host !== undefined)
    const strangers = run.pid === undefined ? undefined : await strangersOf(run.pid, hosts)
    const [address] = strangers?.inside ?? []
    if (address !== undefined) {
      const diagnosis = misleading(camera, address)
      run.refuse({ why: 'ended', diagnosis })
      return diagnosis
    }
    const [other] = strangers?.others ?? []
    if (other === undefined || this.#saidWhereTo) return undefined
    this.#saidWhereTo = true
    const fields = { camera: camera.name, address: other, variable: `CAMERA_${camera.number}_URL` }
    this.#deps.log.warn(fields, 'the camera leads to another host than its URL names')
    return undefined
  }

  /** A camera that ends its sessions after the same time is told apart from one that just does. */
  #withHabit(end: RunEnd, { fromMs, toMs }: Partial<FootageSpan>): RunEnd {
    if (!isEndedByCamera(end) || fromMs === undefined || toMs === undefined) return end
    const lengthMs = this.#sessions.add(toMs - fromMs)
    if (lengthMs === undefined) return end
    const kind = end.why === 'ended' ? end.diagnosis.kind : 'silent'
    return { why: 'ended', diagnosis: { kind, text: sayHabit(this.#camera, lengthMs) } }
  }

  /** What can't be recorded is found out anew by the next recorder: FFmpeg, or the camera, may be another. */
  #learn(found: StreamInfo): void {
    const { streams, log } = this.#deps
    this.#known = found
    const isSoundLost = found.audio !== undefined && !recordsSound(this.#camera, found)
    const remembered = isSoundLost ? { ...found, audio: undefined } : found
    void streams.remember(this.#camera, remembered).catch((error: unknown) => {
      log.warn({ camera: this.#camera.name, error }, 'cannot remember what the camera sends')
    })
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

  #reportRecording(stream: StreamInfo | undefined): void {
    if (stream) this.#learn(stream)
    this.#stream = stream
    const { video, width, height } = stream ?? {}
    const camera = this.#camera.name
    const isSilent = !stream?.audio || !recordsSound(this.#camera, stream)
    const audio = isSilent ? 'none' : stream.audio
    const over = this.#deps.problems.over(camera)
    const before = over && { after: over.reason, tries: over.tries, since: over.since }
    const size = width && height ? `${width}x${height}` : undefined
    this.#enter('recording')
    this.#deps.log.info({ camera, video, size, audio, ...before }, 'recording started')
  }

  #reportEnd(end: RunEnd, delayMs: number): void {
    const { problems, options, redactor, log } = this.#deps
    const camera = this.#camera.name
    const reason = redactor.scrub(describeEnd(this.#camera, end))
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

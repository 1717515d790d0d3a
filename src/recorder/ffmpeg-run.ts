import { createInterface } from 'node:readline'
import { basename, join } from 'node:path'
import { startChild, type Child, type ChildEnd } from '../daemon/child.ts'
import { ClockSteps, type Clock, type HoldUps } from '../daemon/clock.ts'
import { lockHeldCode, underLock } from '../daemon/lock.ts'
import { withMemory } from '../daemon/memory-limit.ts'
import { flvTicksPerSecond, videoTicksPerSecond } from './bridge.ts'
import type { Camera } from './config.ts'
import { diagnose, mayTellWhy } from './ffmpeg-diagnosis.ts'
import {
  isAsExpected,
  isSilence,
  recordingInput,
  type HowToConnect,
  type RecordingOptions,
} from './ffmpeg-args.ts'
import type { RunEnd } from './run-end.ts'
import type { Stall } from './stall-verdict.ts'
import { StreamReader, type StreamInfo } from './stream-info.ts'
import { RunTimes } from './timing/run-times.ts'

/** What is told of a recording while it runs. */
export interface RunListener {
  /** FFmpeg knows what the camera sends. */
  connected(): void
  /** The first video packet has been written. */
  recording(): void
  /** More video has come. */
  footage(): void
  /** FFmpeg has begun a segment, in `open/` under this name. */
  segmentOpened(file: string): void
  /** FFmpeg has closed the oldest segment that it had begun. */
  segmentClosed(): void
  /** A line of FFmpeg's stderr. */
  line(text: string): void
}

/** A silent camera blocks FFmpeg so that it ignores a signal; a second would cost it its trailer. */
const endAtMostMs = 5000
const killAtMostMs = 2500
/** A stalled FFmpeg that still handles SIGINT exits at once; SIGKILL after this. */
const deafMs = 1000

/** One FFmpeg child that records one camera, from its start to its end. */
export class FfmpegRun {
  readonly camera: Camera
  readonly startedMs: number
  /** When its count of video packets last rose, on the monotonic clock. */
  videoRoseMs: number
  /** When it was known what the camera sends. */
  connectedMs: number | undefined
  /** When its first video packet was reported; monotonic. */
  begunMs: number | undefined
  /** Video packets so far. */
  frames = 0
  /** Whether it has gone on after a segment, which a camera that drops out at once never lets it. */
  finishedSegment = false
  readonly ended: Promise<RunEnd>
  readonly times: RunTimes
  readonly #clock: Clock
  readonly #clockSteps: ClockSteps
  readonly #holdUps: HoldUps
  readonly #child: Child
  readonly #known: StreamInfo | undefined
  readonly #reader = new StreamReader()
  readonly #ticksPerSecond: number
  readonly #stallAfterMs: number
  /** A wait of which the time stamp is still to come, in seconds. */
  #wait: number | undefined
  #closed = 0
  #asked: RunEnd | undefined
  #abandon: (end: RunEnd) => void = () => {}

  constructor(
    camera: Camera,
    known: StreamInfo | undefined,
    options: RecordingOptions &
      HowToConnect & { lockFolder: string; clock: Clock; holdUps: HoldUps },
    listener: RunListener,
  ) {
    this.camera = camera
    this.#known = known
    this.#clock = options.clock
    this.#clockSteps = new ClockSteps(options.clock, 'monotonicMs')
    this.#holdUps = options.holdUps
    this.#stallAfterMs = options.stallAfterMs
    this.startedMs = options.clock.monotonicMs()
    this.videoRoseMs = this.startedMs
    const isRtsp = camera.url.startsWith('rtsp')
    this.#ticksPerSecond = isRtsp
      ? videoTicksPerSecond
      : (known?.ticksPerSecond ?? flvTicksPerSecond)
    // What prints a frame's time holds one back, and so does the parser of what comes over RTP,
    // which sees where a frame ends when the next one begins.
    this.times = new RunTimes({ heldFrames: isRtsp ? 2 : 1 })
    const input = recordingInput(camera, known, options)
    const lockFile = join(options.lockFolder, `camera-${camera.name}.lock`)
    // When the recorder dies, however it dies, FFmpeg gets a SIGINT and finishes its file.
    const command = ['setpriv', '--pdeathsig', 'SIGINT', '--', 'ffmpeg', ...input.args]
    this.#child = startChild(underLock(lockFile, withMemory(input.memoryBytes, command)), {
      stdin: input.stdin,
      pipes: 2,
      onLine: (line) => this.#readLine(line, listener),
    })
    this.#readPipes(listener)
    this.ended = Promise.race([
      this.#child.ended.then((end) => this.#judge(end, lockFile)),
      new Promise<RunEnd>((resolve) => (this.#abandon = resolve)),
    ])
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** What the camera sends, as far as FFmpeg has said. */
  get stream(): StreamInfo | undefined {
    return this.#reader.stream ?? this.#known
  }

  /** Ends it cleanly: one SIGINT, and SIGKILL for one that hasn't ended after 5 s. */
  stop(): void {
    this.#end({ why: 'stopped' })
  }

  /** Ends it cleanly if it still listens; else soon by SIGKILL. */
  stalled(stall: Stall): void {
    this.#end({ why: 'stalled', stall, lines: [] }, deafMs)
  }

  /** Ends it for what the camera does. */
  refuse(end: RunEnd): void {
    this.#end(end, deafMs)
  }

  #end(asked: RunEnd, withinMs = endAtMostMs): void {
    if (this.#asked) return
    this.#asked = asked
    this.#child.kill('SIGINT')
    void this.#insist(asked, withinMs)
  }

  /** What even SIGKILL doesn't end (a dead disk holds it) must not keep its camera waiting. */
  async #insist(asked: RunEnd, withinMs: number): Promise<void> {
    if (await this.#child.endsWithin(withinMs)) return
    this.#child.kill('SIGKILL')
    if (await this.#child.endsWithin(killAtMostMs)) return
    this.#child.abandon()
    this.#abandon(asked)
  }

  #readPipes(listener: RunListener): void {
    const [, segmentList, progress] = this.#child.outputs
    if (!segmentList || !progress) return
    createInterface({ input: segmentList }).on('line', () => {
      this.#closed += 1
      listener.segmentClosed()
    })
    let text = ''
    progress.setEncoding('latin1').on('data', (piece: string) => {
      text += piece
      const end = text.lastIndexOf('progress=')
      if (end < 0) return
      const frames = /^frame=\s*(\d+)/m.exec(text.slice(text.lastIndexOf('frame=', end), end))?.[1]
      const isLast = text.startsWith('progress=end', end)
      text = text.slice(end + 1)
      if (!isLast) this.finishedSegment = this.#closed > 0
      this.#readProgress(Number(frames ?? 0), isLast, listener)
    })
  }

  #readProgress(frames: number, isLast: boolean, listener: RunListener): void {
    const nowMs = this.#clock.monotonicMs()
    if (frames === 0) this.times.arrived(nowMs, 0)
    if (frames <= this.frames) return
    this.#clockSteps.sinceLast()
    // A report that has waited for us came at some time before.
    if (!this.#holdUps.isHeldUp) this.times.arrived(nowMs, frames)
    this.begunMs ??= nowMs
    if (this.frames === 0) listener.recording()
    this.frames = frames
    // Frames that FFmpeg still held come when it ends.
    if (!isLast) this.videoRoseMs = nowMs
    listener.footage()
  }

  /** Answers whether a line may tell why FFmpeg ends. */
  #readLine(line: string, listener: RunListener): boolean {
    listener.line(line)
    const [, number] = /\[info\] (-?\d+\.\d{6})$/.exec(line) ?? []
    if (number !== undefined) return this.#readNumber(Number(number))
    if (this.connectedMs === undefined && line.includes('Input #')) {
      this.connectedMs = this.#clock.monotonicMs()
      listener.connected()
    }
    const [, opened] = /\[info\] Opening '(.+\.mp4)' for writing/.exec(line) ?? []
    if (opened) listener.segmentOpened(basename(opened))
    const { stream } = this.#reader
    if (this.#reader.read(line) && stream && !isAsExpected(this.camera, this.#known, stream))
      this.#end({ why: 'stream changed', found: stream })
    return mayTellWhy(line)
  }

  /** Of a wait that the filter tells: its length, negative, and then a time stamp (see bridge.ts). */
  #readNumber(number: number): boolean {
    if (number < 0) this.#wait = -number
    else if (this.#wait !== undefined) {
      const nowMs = this.#clock.monotonicMs()
      // FFmpeg counts it by the wall clock, which may have been set meanwhile.
      const wait = this.#wait - this.#clockSteps.sinceLast() / 1000
      if (wait > 0 && !this.#holdUps.isHeldUp)
        this.times.waited(nowMs, number / this.#ticksPerSecond, wait)
      this.#wait = undefined
    }
    return false
  }

  #judge(end: ChildEnd, lockFile: string): RunEnd {
    if (this.#asked?.why === 'stalled') return { ...this.#asked, lines: end.lines }
    if (this.#asked) return this.#asked
    if (end.code === lockHeldCode) return { why: 'locked', lockFile }
    const found = this.#reader.stream
    if (found && !isAsExpected(this.camera, this.#known, found))
      return { why: 'stream changed', found }
    const quietMs = this.#clock.monotonicMs() - this.videoRoseMs
    const isSilent = isSilence(this.camera, quietMs, this.#stallAfterMs)
    return { why: 'ended', diagnosis: diagnose(this.camera, end, isSilent) }
  }
}

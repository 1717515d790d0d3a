import { createInterface } from 'node:readline'
import { basename, join } from 'node:path'
import { startChild, type Child, type ChildEnd } from '../daemon/child.ts'
import type { Clock } from '../daemon/clock.ts'
import { lockHeldCode, underLock } from '../daemon/lock.ts'
import type { Camera } from './config.ts'
import { isPause } from '../segments/gaps.ts'
import { diagnose, type Diagnosis } from './ffmpeg-diagnosis.ts'
import { recordingInput, type HowToConnect, type RecordingOptions } from './ffmpeg-args.ts'
import type { Stall } from './stall-verdict.ts'
import { StreamCheck, type StreamInfo } from './stream-probe.ts'

/** How one attempt at recording ended. */
export type RunEnd =
  | { why: 'stopped' }
  | { why: 'stalled'; stall: Stall }
  /** The camera sends another codec than the one that FFmpeg was started for. */
  | { why: 'stream changed'; found: string }
  /** Another FFmpeg records this camera. */
  | { why: 'locked'; lockFile: string }
  | { why: 'ended'; diagnosis: Diagnosis }

/** What is told of a recording while it runs. */
export interface RunListener {
  /** The first video packet has been written. */
  recording(): void
  /** More video has been written: so much since its first frame. */
  footage(totalMs: number): void
  /** FFmpeg has begun a segment, in `open/` under this name. */
  segmentOpened(file: string): void
  /** FFmpeg has closed the oldest segment that it had begun; its duration in seconds. */
  segmentClosed(file: string, seconds: number): void
  /** Between two segments so much is missing that the camera must have paused; in epoch ms. */
  paused(fromMs: number, toMs: number): void
  /** A line of FFmpeg's stderr. */
  line(text: string): void
}

/** A silent camera blocks FFmpeg so that it ignores a signal; a second would cost it its trailer. */
const endAtMostMs = 5000
const killAtMostMs = 2500
/** One that listens ends at once. */
const deafMs = 1000

/** Time stamps that advance at less than this share of the clock stand still. */
const frozenRate = 0.1

/** One FFmpeg child that records one camera, from its start to its end. */
export class FfmpegRun {
  readonly camera: Camera
  readonly startedMs: number
  /** When its count of video packets last rose, on the monotonic clock. */
  videoRoseMs: number
  /** When it was known what the camera sends. */
  connectedMs: number | undefined
  /** Video packets so far. */
  frames = 0
  /** The most that the camera's time stamps have outrun the clock at once. */
  aheadMs = 0
  /** Since when packets have come whose time stamps hardly advance. */
  frozenSinceMs: number | undefined
  /** Whether it has gone on after a segment, which a camera that drops out at once never lets it. */
  finishedSegment = false
  readonly ended: Promise<RunEnd>
  readonly #clock: Clock
  readonly #child: Child
  readonly #streamCheck: StreamCheck
  #footageMs = 0
  /** How much sound came before the first video, and when there was still none. */
  #soundAloneMs = 0
  #noVideoYetMs: number
  /** When each segment that isn't closed was begun, in epoch ms, and after how many frames. */
  readonly #begun: { atMs: number; frames: number }[] = []
  #asked: RunEnd | undefined
  #abandon: (end: RunEnd) => void = () => {}

  constructor(
    camera: Camera,
    stream: StreamInfo,
    options: RecordingOptions & HowToConnect & { lockFolder: string; clock: Clock },
    listener: RunListener,
  ) {
    this.camera = camera
    this.#clock = options.clock
    this.startedMs = options.clock.monotonicMs()
    this.videoRoseMs = this.startedMs
    this.#noVideoYetMs = this.startedMs
    this.#streamCheck = new StreamCheck(stream)
    const input = recordingInput(camera, stream, options)
    const lockFile = join(options.lockFolder, `camera-${camera.name}.lock`)
    // When the recorder dies, however it dies, FFmpeg gets a SIGINT and finishes its file.
    const command = ['setpriv', '--pdeathsig', 'SIGINT', '--', 'ffmpeg', ...input.args]
    this.#child = startChild(underLock(lockFile, command), {
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

  /** What it records, as far as FFmpeg has said. */
  get stream(): StreamInfo {
    return this.#streamCheck.found
  }

  /** Ends it in order: one SIGINT, and SIGKILL for one that hasn't ended after 5 s. */
  stop(): void {
    this.#end({ why: 'stopped' })
  }

  /** Ends it in order if it still listens, as it does where sound goes on; else soon by SIGKILL. */
  stalled(stall: Stall): void {
    this.#end({ why: 'stalled', stall }, stall.startsWith('time stamps') ? endAtMostMs : deafMs)
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
    let [closed, lastEnd] = [0, NaN]
    createInterface({ input: segmentList }).on('line', (line) => {
      const [file = '', ...times] = line.split(',')
      const [start = 0, end = 0] = times.map(Number)
      closed += 1
      this.#judgeCut(start - lastEnd, end - start, listener)
      lastEnd = end
      listener.segmentClosed(file, end - start)
    })
    let text = ''
    progress.setEncoding('latin1').on('data', (piece: string) => {
      text += piece
      // The last block, of an FFmpeg that ends, says `progress=end`.
      const end = text.lastIndexOf('progress=continue\n')
      if (end < 0) return
      const block = text.slice(text.lastIndexOf('frame=', end), end)
      text = text.slice(end + 1)
      this.#readProgress(block, listener, closed > 0)
    })
  }

  #readProgress(block: string, listener: RunListener, finishedSegment: boolean): void {
    const frames = Number(/^frame=\s*(\d+)/.exec(block)?.[1] ?? 0)
    const footageUs = /^out_time_us=(\d+)/m.exec(block)?.[1]
    const footageMs = footageUs === undefined ? this.#footageMs : Number(footageUs) / 1000
    if (frames === 0) this.#noVideoYetMs = this.#clock.monotonicMs()
    if (frames <= this.frames) return
    if (this.frames === 0) {
      this.#soundAloneMs = Math.max(0, footageMs - this.#firstVideoMs(frames))
      listener.recording()
    }
    this.#judgeTime(footageMs)
    this.frames = frames
    this.videoRoseMs = this.#clock.monotonicMs()
    this.finishedSegment = finishedSegment
    listener.footage(footageMs - this.#soundAloneMs)
  }

  /** How much video the first frames are at most: what has come since there was none, or was sent at once. */
  #firstVideoMs(frames: number): number {
    const { fps } = this.stream
    const sinceMs = this.#clock.monotonicMs() - this.#noVideoYetMs
    return fps ? Math.max(sinceMs, (frames * 1000) / fps) : sinceMs
  }

  /** Compares how far the footage has come, by the camera's time stamps, with the clock. */
  #judgeTime(footageMs: number): void {
    const elapsedMs = this.#clock.monotonicMs() - this.videoRoseMs
    const advancedMs = footageMs - this.#footageMs
    this.#footageMs = footageMs
    // The first packets of a run count from wherever the camera's time stamps are.
    if (this.frames === 0) return
    this.aheadMs = Math.max(this.aheadMs, advancedMs - elapsedMs)
    const isFrozen = advancedMs < elapsedMs * frozenRate
    this.frozenSinceMs = isFrozen ? (this.frozenSinceMs ?? this.videoRoseMs) : undefined
  }

  /** A segment of some seconds is closed that began so much later than the one before ended. */
  #judgeCut(late: number, seconds: number, listener: RunListener): void {
    const { atMs, frames } = this.#begun.shift() ?? { atMs: this.#clock.now(), frames: this.frames }
    const usualStep = seconds / (this.frames - frames)
    if (isPause(late, usualStep)) listener.paused(atMs - late * 1000, atMs)
  }

  /** Answers whether a line may tell why FFmpeg ends. */
  #readLine(line: string, listener: RunListener): boolean {
    listener.line(line)
    if (line.includes('Input #')) this.connectedMs = this.#clock.monotonicMs()
    const [, opened] = /\[info\] Opening '(.+\.mp4)' for writing/.exec(line) ?? []
    if (opened) {
      this.#begun.push({ atMs: this.#clock.now(), frames: this.frames })
      listener.segmentOpened(basename(opened))
    }
    const found = this.#streamCheck.differs(line)
    if (found) this.#end({ why: 'stream changed', found })
    return !/\[(info|verbose|debug)\]/.test(line)
  }

  #judge(end: ChildEnd, lockFile: string): RunEnd {
    if (this.#asked) return this.#asked
    if (end.code === lockHeldCode) return { why: 'locked', lockFile }
    return { why: 'ended', diagnosis: diagnose(this.camera, end) }
  }
}

import { fstatSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import type { Clock } from '../daemon/clock.ts'
import { isoLocal } from '../daemon/local-time.ts'
import type { Log } from '../daemon/logger.ts'
import { UnfamiliarMp4 } from '../mp4/boxes.ts'
import { FragmentReader, indexWindowBytes, type Fragment } from '../mp4/fragmented-mp4.ts'
import type { TrackHeader } from '../mp4/track-header.ts'
import { spanOf, type FootageSpan } from '../segments/closed-segments.ts'
import { hasCode } from '../segments/folders.ts'
import { segmentName } from '../segments/segment-name.ts'
import type { OpenSegments, SegmentFacts } from './open-segments.ts'
import type { RunTimes, SegmentRange, SegmentTimes } from './timing/run-times.ts'

/** How an open segment is read: within seconds of its being written. */
const asWritten = { bytesAtOnce: indexWindowBytes, isInMemory: true }
/** FFmpeg says that it opens a file just before it does. */
const createdAtMostMs = 2000
const lookEveryMs = 20
/** Time between two looks, which all cameras get at once: that costs the disk less. A power cut takes a fragment of half a second besides. */
const tickMs = 3000

/** A segment that FFmpeg has begun. */
interface Begun {
  /** As FFmpeg calls it. */
  file: string
  /** As it is called in `open/`. */
  claimed: Promise<string>
  handle?: FileHandle | undefined
  reader?: FragmentReader
  tracks?: TrackHeader[]
  /** Whether it holds footage that can't be read as ours. */
  isUnreadable: boolean
  /** Whether it was closed by FFmpeg before it was read last. */
  isRead: boolean
  /** Whether it has no name left. */
  isDeleted: boolean
  bytes: number
  range: SegmentRange
  lastStamp: number
  firstStamp: number | undefined
  /** Once they are known. */
  times?: SegmentTimes | undefined
  /** Whether it is said that it can't be closed. */
  isSaid?: boolean
}

/** The segment that is being written, as the last look saw it. */
export interface WrittenFile {
  file: string
  bytes: number
  /** When it was last seen to have grown, or was begun; monotonic. */
  grewMs: number
  isDeleted: boolean
  /** Frames and samples of sound of this run that are on the disk. */
  frames: number
  sounds: number
}

export interface RunSegmentsDeps {
  camera: string
  times: RunTimes
  segments: OpenSegments
  clock: Clock
  log: Log
  /** Told of each segment that is closed, in their order. */
  onFootage: (span: FootageSpan) => void
}

/** The segments of one run of FFmpeg: read while they grow, and closed under the names of their times. */
export class RunSegments {
  readonly #deps: RunSegmentsDeps
  /** Those that are still in `open/`, oldest first. */
  readonly #begun: Begun[] = []
  /** How many of those FFmpeg has closed, the oldest; also of one that is yet to be told as begun, by another pipe. */
  #closedCount = 0
  #working: Promise<void> = Promise.resolve()
  #named: string | undefined
  #written: WrittenFile | undefined
  /** Whether frames are missing of those that were read, so that nobody knows when which one came. */
  #isBroken = false

  constructor(deps: RunSegmentsDeps) {
    this.#deps = deps
  }

  /** Undefined before there is one. */
  get written(): WrittenFile | undefined {
    return this.#written
  }

  /** Whether what is written can be read. */
  get isReadable(): boolean {
    return !this.#isBroken
  }

  /** FFmpeg begins a segment of this name. */
  opened(file: string): void {
    this.#begun.push({
      ...{ file, claimed: this.#claim(file), isUnreadable: false, isRead: false },
      ...{ isDeleted: false, bytes: 0, lastStamp: 0, firstStamp: undefined },
      range: { frames: [0, 0], sounds: [0, 0] },
    })
    const grewMs = this.#deps.clock.monotonicMs()
    const { frames, sounds } = this.#deps.times.read
    this.#written = { file, bytes: 0, grewMs, isDeleted: false, frames, sounds }
  }

  /** FFmpeg has closed the oldest of those that it hadn't closed. */
  closed(): void {
    this.#closedCount += 1
  }

  /** Syncs, reads and closes what there is, every few seconds until the signal aborts. */
  async keepUp(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const sinceMs = this.#deps.clock.monotonicMs() % tickMs
      await this.#deps.clock.sleep(tickMs - sinceMs, signal)
      if (!signal.aborted) await this.#inTurn(async () => this.#tick())
    }
  }

  /** FFmpeg has ended; returns when everything that it left behind is in `recordings/`. */
  async finish(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#readOn(true).catch((error: unknown) => this.#sayUnread(error))
      await this.#closeFinished(true)
    })
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const next = this.#working.then(work)
    this.#working = next.catch(() => {})
    return next
  }

  async #tick(): Promise<void> {
    try {
      await this.#look()
      await this.#sync()
      await this.#readOn(false)
      await this.#closeFinished(false)
    } catch (error) {
      this.#sayUnread(error)
    }
  }

  #sayUnread(error: unknown): void {
    const { camera, log } = this.#deps
    log.debug({ camera, error }, 'segments not looked at')
  }

  /** How far the newest has grown, before a slow disk makes us wait. */
  async #look(): Promise<void> {
    const segment = this.#begun.at(-1)
    const handle = segment && (await this.#open(segment))
    if (!segment || !handle) return
    const info = fstatSync(handle.fd)
    segment.isDeleted = info.nlink === 0
    this.#note(segment, info.size)
  }

  /** Puts what FFmpeg has written on the disk: a power cut takes no more than 5 s. */
  async #sync(): Promise<void> {
    const segment = this.#begun.at(-1)
    if (!segment) return
    const claimed = await segment.claimed
    if (claimed !== this.#named) await this.#deps.segments.syncNames()
    this.#named = claimed
    await (await this.#open(segment))?.datasync()
  }

  async #open(segment: Begun): Promise<FileHandle | undefined> {
    segment.handle ??= await this.#deps.segments.read(await segment.claimed)
    return segment.handle
  }

  /** Reads what has been written since, in its order. */
  async #readOn(isOver: boolean): Promise<void> {
    for (const [index, segment] of this.#begun.entries()) {
      // What comes behind is read when FFmpeg has closed what comes before, and that is read.
      const isClosed = isOver || index < this.#closedCount
      await this.#readOne(segment)
      segment.isRead = isClosed
      if (!isClosed) break
    }
  }

  async #readOne(segment: Begun): Promise<void> {
    const handle = await this.#open(segment)
    if (!handle) {
      this.#isBroken = true
      return
    }
    const { size, nlink } = fstatSync(handle.fd)
    segment.isDeleted = nlink === 0
    if (size > segment.bytes) await this.#readFragments(segment, handle)
    this.#note(segment, size)
    segment.bytes = size
  }

  #note(segment: Begun, bytes: number): void {
    if (segment !== this.#begun.at(-1)) return
    const { clock, times } = this.#deps
    const seenBytes = this.#written?.file === segment.file ? this.#written.bytes : 0
    const grewMs = bytes > seenBytes ? clock.monotonicMs() : (this.#written?.grewMs ?? 0)
    const { file, isDeleted } = segment
    this.#written = { file, bytes, grewMs, isDeleted, ...times.read }
  }

  async #readFragments(segment: Begun, handle: FileHandle): Promise<void> {
    const { times, clock, camera, log } = this.#deps
    if (segment.isUnreadable) return
    try {
      if (!segment.reader) {
        segment.reader = new FragmentReader(handle, asWritten)
        segment.tracks = (await segment.reader.header()).headers
        times.beginSegment()
        const { frames, sounds } = times.read
        segment.range = { frames: [frames, frames], sounds: [sounds, sounds] }
      } else await segment.reader.grow()
      const clockOffsetMs = clock.now() - clock.monotonicMs()
      for (let next = await segment.reader.next(); next; next = await segment.reader.next())
        this.#add(segment, next, clockOffsetMs)
    } catch (error) {
      if (!segment.reader) return
      // It may not be there whole; then it is read once more.
      if (!segment.tracks) delete (segment as Partial<Begun>).reader
      else if (error instanceof UnfamiliarMp4) {
        segment.isUnreadable = true
        this.#isBroken = true
        const sentence = 'segment cannot be read: its times, and those of the next, are guessed'
        log.warn({ camera, file: segment.file, error }, sentence)
      } else throw error
    }
  }

  #add(segment: Begun, { runs, referenceMs }: Fragment, clockOffsetMs: number): void {
    const { times } = this.#deps
    const stamps = { video: [] as number[], audio: [] as number[] }
    for (const { track, time, durations } of runs) {
      const header = segment.tracks?.[track - 1]
      if (!header) continue
      let stamp = time
      for (const duration of durations) {
        stamps[header.type].push(stamp / header.ticksPerSecond)
        stamp += duration
      }
    }
    const reference = referenceMs === undefined ? undefined : (referenceMs - clockOffsetMs) / 1000
    times.add({ picture: stamps.video, sound: stamps.audio, reference })
    const { frames, sounds } = times.read
    segment.range.frames[1] = frames
    segment.range.sounds[1] = sounds
    segment.firstStamp ??= stamps.video[0]
    segment.lastStamp = stamps.video.at(-1) ?? segment.lastStamp
  }

  /** Closes what FFmpeg has closed and has been read, or everything when it has ended, as soon as its times are known. */
  async #closeFinished(isOver: boolean): Promise<void> {
    for (let segment = this.#begun[0]; segment; segment = this.#begun[0]) {
      if (!isOver && !segment.isRead) return
      const [first, end] = segment.range.frames
      const isTimed = end > first && !this.#isBroken
      if (isTimed) segment.times ??= this.#deps.times.of(segment.range, isOver)
      if (isTimed && !segment.times && !isOver) return
      const isClosed = await this.#close(segment)
      // On a full disk it is tried again.
      if (!isClosed && !isOver) return
      this.#begun.shift()
      this.#closedCount -= 1
      await segment.handle?.close().catch(() => {})
    }
  }

  /** Answers whether it could be closed. */
  async #close(segment: Begun): Promise<boolean> {
    const { camera, segments, log, onFootage } = this.#deps
    const claimed = await segment.claimed
    try {
      const mtimeMs = (await segment.handle?.stat())?.mtimeMs
      const facts = this.#factsOf(segment, segment.times, mtimeMs)
      const closed = await segments.close(claimed, facts)
      const seconds = facts && Math.round(facts.durationSeconds * 100) / 100
      if (closed) log.info({ camera, ...closed, seconds }, 'segment finished')
      if (facts) onFootage(spanOf(facts))
      return true
    } catch (error) {
      const sentence = 'segment not moved out of recordings/open/'
      if (!segment.isSaid) log.error({ camera, file: claimed, error }, sentence)
      segment.isSaid = true
      return false
    }
  }

  #factsOf(
    { range, firstStamp, lastStamp }: Begun,
    times: SegmentTimes | undefined,
    mtimeMs: number | undefined,
  ): SegmentFacts | undefined {
    const { camera, clock } = this.#deps
    const frames = range.frames[1] - range.frames[0]
    const sounds = range.sounds[1] - range.sounds[0]
    if (frames === 0 || firstStamp === undefined || mtimeMs === undefined) return undefined
    if (!times) return factsByMtime({ camera, frames, sounds, firstStamp, lastStamp, mtimeMs })
    const common = { camera, frames, sounds }
    const { startMs, endMs, ...tables } = times
    const wallMs = startMs + clock.now() - clock.monotonicMs()
    const durationSeconds = Math.round(endMs - startMs) / 1000
    const file = segmentName(camera, wallMs)
    const known = { ...tables, end: durationSeconds }
    return { ...common, file, start: isoLocal(wallMs), durationSeconds, times: known }
  }

  async #claim(file: string): Promise<string> {
    const { segments, clock } = this.#deps
    const untilMs = clock.monotonicMs() + createdAtMostMs
    for (;;) {
      try {
        return await segments.claim(file)
      } catch (error) {
        if (hasCode(error, 'ENOENT') && clock.monotonicMs() < untilMs)
          await clock.sleep(lookEveryMs)
        else return file
      }
    }
  }
}

/** What a segment holds of which nobody has seen the frames come. */
export interface UnseenSegment {
  camera: string
  frames: number
  sounds: number
  /** Time stamps of its first and last frame, in seconds. */
  firstStamp: number
  lastStamp: number
  mtimeMs: number
}

/** Its last frame is of when the file was last written to. */
export function factsByMtime({
  firstStamp,
  lastStamp,
  mtimeMs,
  ...counts
}: UnseenSegment): SegmentFacts {
  const { camera, frames } = counts
  const step = frames > 1 ? (lastStamp - firstStamp) / (frames - 1) : 0.04
  const durationSeconds = Math.round((lastStamp - firstStamp + step) * 1000) / 1000
  const startMs = mtimeMs - durationSeconds * 1000
  return {
    ...counts,
    ...{ file: segmentName(camera, startMs), start: isoLocal(startMs), durationSeconds },
  }
}

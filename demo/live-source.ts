import { randomInt } from 'node:crypto'
import type { Track } from './tracks.ts'

export interface LiveFrame {
  track: Track
  index: number
  isEntryPoint: boolean
  timestamp: number
  payloads: Buffer[]
}

/** A camera's idea of time, which all that it ever plays goes by. */
export interface CameraClock {
  /** When frame 0 was due, by performance.now(). */
  epochMs: number
  /** How many of its milliseconds pass in one of ours. */
  pace: number
  /** How far the clock has been set since; it shows in the timestamps, not in the pace. */
  shiftMs: Record<Track['media'], number>
}

/** At few frames a second, sound must not wait for the picture. */
const WAKE_AT_LEAST_EVERY_MS = 100

/**
 * Plays tracks in real time, whether or not somebody listens: frame N is due N frame lengths after
 * the epoch, so nothing drifts, and every listener sees the same frames.
 */
export class LiveSource {
  readonly tracks: Track[]
  readonly #clock: CameraClock
  readonly #burstMs: number
  readonly #lanes: Lane[]
  readonly #listeners = new Set<(frame: LiveFrame) => void>()
  #timer: NodeJS.Timeout | undefined

  /** Frames are delivered when they are due, or with `burstMs` so seldom, then all together. */
  constructor(tracks: Track[], clock: CameraClock, burstMs = 0) {
    this.tracks = tracks
    this.#clock = clock
    this.#burstMs = burstMs
    this.#lanes = tracks.map((track) => new Lane(track, clock))
  }

  listen(listener: (frame: LiveFrame) => void): void {
    this.#listeners.add(listener)
    if (this.#listeners.size > 1) return
    for (const lane of this.#lanes) lane.skipTo(this.#nowMs())
    this.#wakeForNextFrame()
  }

  unlisten(listener: (frame: LiveFrame) => void): void {
    this.#listeners.delete(listener)
    if (this.#listeners.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** The RTP timestamp of the instant of the next frame, or keyframe, of video. */
  startTimestamp(track: Track, from: 'frame' | 'keyframe'): number {
    const video = this.#lanes[0]!
    return this.#laneOf(track).timestampAt(
      from === 'frame' ? video.dueMs : video.nextEntryPointMs(),
    )
  }

  /** Lets the timestamps of each track go on from a random value. */
  restartTimestamps(): void {
    for (const lane of this.#lanes) lane.restartTimestamps()
  }

  /** The present instant, as Unix time and as the track's RTP timestamp. */
  clockReading(track: Track): { unixMs: number; timestamp: number } {
    const lane = this.#laneOf(track)
    const nowMs = this.#nowMs()
    const { epochMs, shiftMs } = this.#clock
    const unixMs = performance.timeOrigin + epochMs + nowMs + shiftMs[track.media]
    return { unixMs, timestamp: lane.timestampAt(nowMs) }
  }

  #play(): void {
    const nowMs = this.#nowMs()
    for (;;) {
      const lane = this.#lanes.reduce((first, other) => (other.dueMs < first.dueMs ? other : first))
      if (lane.dueMs > nowMs) break
      const frame = lane.take()
      for (const listener of this.#listeners) listener(frame)
    }
    if (this.#listeners.size > 0) this.#wakeForNextFrame()
  }

  #wakeForNextFrame(): void {
    // Waking for video alone halves the wake-ups; audio goes with it.
    const videoInMs = (this.#lanes[0]!.dueMs - this.#nowMs()) / this.#clock.pace
    const inMs = this.#burstMs || Math.min(WAKE_AT_LEAST_EVERY_MS, Math.max(1, videoInMs))
    this.#timer = setTimeout(() => this.#play(), inMs)
  }

  #laneOf(track: Track): Lane {
    return this.#lanes[this.tracks.indexOf(track)]!
  }

  #nowMs(): number {
    return (performance.now() - this.#clock.epochMs) * this.#clock.pace
  }
}

/** How far a track has been played. */
class Lane {
  readonly track: Track
  readonly #clock: CameraClock
  #firstTimestamp = randomInt(2 ** 32) // RFC 3550, 5.1: should be random
  #next = 0

  constructor(track: Track, clock: CameraClock) {
    this.track = track
    this.#clock = clock
  }

  get dueMs(): number {
    return this.#startMsOf(this.#next)
  }

  restartTimestamps(): void {
    this.#firstTimestamp = randomInt(2 ** 32)
  }

  skipTo(mediaMs: number): void {
    this.#next = Math.ceil((mediaMs * this.track.clockRate) / 1000 / this.track.frameTicks)
  }

  take(): LiveFrame {
    const index = this.#next
    const timestamp = this.timestampAt(this.dueMs)
    this.#next += 1
    const { track } = this
    return {
      track,
      index,
      isEntryPoint: track.isEntryPoint(index),
      timestamp,
      payloads: track.payloads(index),
    }
  }

  nextEntryPointMs(): number {
    let index = this.#next
    while (!this.track.isEntryPoint(index)) index += 1
    return this.#startMsOf(index)
  }

  timestampAt(mediaMs: number): number {
    const { media, clockRate } = this.track
    const ticks = Math.round(((mediaMs + this.#clock.shiftMs[media]) * clockRate) / 1000)
    return modulo(this.#firstTimestamp + ticks, 2 ** 32)
  }

  #startMsOf(index: number): number {
    return (index * this.track.frameTicks * 1000) / this.track.clockRate
  }
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by
}

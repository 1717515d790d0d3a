import type { Log } from '../daemon/logger.ts'
import type { Camera } from './config.ts'
import { recordsSound } from './ffmpeg-args.ts'
import type { StreamInfo } from './stream-info.ts'

/** What a recording is seen to do at one moment; moments in ms, by a clock that only rises. */
export interface RecordingFacts {
  nowMs: number
  /** When its first frame came. */
  begunMs: number
  /** What the camera says that it sends. */
  stream: StreamInfo
  /** Frames that FFmpeg has passed on. */
  framesPassed: number
  /** Frames, and samples of sound, that are in its files on the disk. */
  framesWritten: number
  soundsWritten: number
}

/** Where a recording isn't what the camera sends. */
export interface RecordingFault {
  kind: 'sound' | 'picture'
  text: string
  /** Whether it needs somebody's attention: a microphone may be off on purpose. */
  isGrave: boolean
}

/** Sound may begin late, or pause. */
const soundlessAtMostMs = 50_000
/** Time a frame may take to the disk, which is read every 3 s; or the time of some frames. */
const lateAfterMs = 8000
const lateAfterFrames = 4
/** A disk that is slow for a moment is no fault. */
const lateForMs = 30_000

const sentences = { sound: 'recorded without sound', picture: 'frames reach the file late' }
const overSentences = { sound: 'sound is recorded', picture: 'frames reach the file in time' }

/** As a line of its own. */
export function faultText({ kind, text }: RecordingFault): string {
  return `${sentences[kind]}: ${text}`
}

/** Notices, and says once, where what is recorded of a camera isn't what it sends. */
export class RecordingFaults {
  readonly #camera: Camera
  readonly #log: Log
  #begunMs: number | undefined
  #soundMs = 0
  #sounds = 0
  #frames = 0
  #seenMs = 0
  /** How many frames had been passed on when, oldest first; those on the disk are left out. */
  #passed: { atMs: number; frames: number }[] = []
  /** Since when a frame has been late at every look. */
  #lateSinceMs: number | undefined
  #faults: RecordingFault[] = []

  constructor(camera: Camera, log: Log) {
    this.#camera = camera
    this.#log = log
  }

  get faults(): RecordingFault[] {
    return this.#faults
  }

  see(facts: RecordingFacts): void {
    if (facts.begunMs !== this.#begunMs) this.#begin(facts.begunMs)
    const now = [this.#soundFault(facts), this.#pictureFault(facts)].filter(
      (fault) => fault !== undefined,
    )
    const camera = this.#camera.name
    for (const { kind, text } of now)
      if (!this.#faults.some((before) => before.kind === kind))
        this.#log.warn({ camera, reason: text }, sentences[kind])
    for (const { kind } of this.#faults)
      if (!now.some((fault) => fault.kind === kind)) this.#log.info({ camera }, overSentences[kind])
    this.#faults = now
  }

  /** Another run has begun; what was wrong is so until it shows that it no longer is. */
  #begin(begunMs: number): void {
    this.#begunMs = begunMs
    this.#soundMs = begunMs
    this.#sounds = 0
    this.#frames = 0
    this.#seenMs = begunMs
    this.#passed = []
    this.#lateSinceMs = undefined
  }

  #soundFault(facts: RecordingFacts): RecordingFault | undefined {
    const { nowMs, stream, framesPassed, soundsWritten } = facts
    const { audio } = stream
    const { number, audio: wanted } = this.#camera
    // While no picture comes either, it isn't the sound that is missing.
    if (framesPassed === this.#frames) this.#soundMs += nowMs - this.#seenMs
    if (soundsWritten > this.#sounds) this.#soundMs = nowMs
    this.#frames = framesPassed
    this.#seenMs = nowMs
    this.#sounds = soundsWritten
    if (audio === undefined || wanted === 'none') return undefined
    const silence = `CAMERA_${number}_AUDIO=none in .env ends this line`
    if (!recordsSound(this.#camera, stream)) {
      const codec = audio === 'unknown' ? 'a codec that FFmpeg does not know' : audio
      const text = `${codec} cannot be recorded: choose another codec in the camera (${silence})`
      return { kind: 'sound', text, isGrave: false }
    }
    const before = this.#faults.find(({ kind }) => kind === 'sound')
    if (nowMs - this.#soundMs < soundlessAtMostMs) return soundsWritten > 0 ? undefined : before
    const text = `the camera promises ${audio}, but none is in the file: is its microphone off? (${silence})`
    return { kind: 'sound', text, isGrave: false }
  }

  #pictureFault(facts: RecordingFacts): RecordingFault | undefined {
    const { nowMs, begunMs, framesPassed, framesWritten } = facts
    this.#passed = this.#passed.filter(({ frames }) => frames > framesWritten)
    if (framesPassed > (this.#passed.at(-1)?.frames ?? framesWritten))
      this.#passed.push({ atMs: nowMs, frames: framesPassed })
    const waitedMs = nowMs - (this.#passed[0]?.atMs ?? nowMs)
    const frameMs = (nowMs - begunMs) / Math.max(1, framesPassed)
    if (waitedMs < Math.max(lateAfterMs, lateAfterFrames * frameMs)) this.#lateSinceMs = undefined
    else this.#lateSinceMs ??= nowMs
    if (nowMs - (this.#lateSinceMs ?? nowMs) < lateForMs) return undefined
    const text = `they take more than ${lateAfterMs / 1000} s to the disk: is it too slow, or FFmpeg faulty? (see: iostat -x 5; ffmpeg -version)`
    return { kind: 'picture', text, isGrave: true }
  }
}

import type { Arrival } from '../../../src/recorder/timing/points.ts'
import {
  reportEverySeconds,
  RunTimes,
  type SegmentTimes,
} from '../../../src/recorder/timing/run-times.ts'

/** A camera and its network, in seconds. */
export interface Scene {
  fps?: number
  seconds?: number
  /** The most that a frame is late of itself. */
  jitter?: number
  /** The time stamp of a frame that is taken at a moment. */
  stamp?: (at: number, index: number) => number
  /** Whether a frame is left out. */
  isMissing?: (at: number) => boolean
  /** The network keeps everything from one moment to the other; then it sends so many seconds in one. */
  hold?: { from: number; until: number; speed?: number }
  /** The camera sends so many seconds at once. */
  burst?: number
  /** Sound: its time stamps, and when it is taken if not with the picture. */
  sound?: {
    stamp?: (at: number) => number
    isMissing?: (at: number) => boolean
    /** By how much it is sent later than it is taken. */
    late?: number
  }
  /** What FFmpeg writes into `prft`: its own clock, or the camera's, which may be off. */
  cameraClock?: number
  /** The wall clock of this machine is set: ahead by so much, or back. */
  clockSet?: { at: number; by: number }
}

export interface SimulatedSegment {
  /** When its frames, and its sound, were taken. */
  taken: number[]
  takenSound: number[]
  stamps: number[]
  soundStamps: number[]
  times: SegmentTimes
}

const latency = 0.05
const soundStep = 0.064
const readLate = 3

/** How FFmpeg says how far it is: after a packet, from the picture or the sound, or by a timer. */
export type Version = 'by picture' | 'by sound' | 'by timer'

interface Frame {
  taken: number
  stamp: number
  /** When FFmpeg passes it on: when the next one comes. */
  at: number
}

/** The frames of a scene as they leave FFmpeg's filter, with what FFmpeg says meanwhile. */
export function simulateFrames(scene: Scene, version: Version) {
  const random = randomNumbers()
  const { fps = 25, seconds = 120 } = scene
  const taken: number[] = []
  for (let n = 0; n < seconds * fps; n += 1) if (!scene.isMissing?.(n / fps)) taken.push(n / fps)
  let last = 0
  const arrivals = taken.map((at) => (last = Math.max(last, arrivalOf(at, scene, random()))))
  const stamps = taken.map((at, n) => scene.stamp?.(at, n) ?? at)
  const bridge = new SimulatedBridge()
  const waits: { at: number; stamp: number; seconds: number }[] = []
  const frames: Frame[] = []
  for (const [n, moment] of taken.entries()) {
    const at = arrivals[n + 1]
    if (at === undefined) break
    const { stamp, wait } = bridge.pass(stamps[n] ?? 0, wallClock(at, scene))
    frames.push({ taken: moment, stamp, at })
    if (wait >= 0.5) waits.push({ at, stamp, seconds: wait })
  }
  return { frames, waits, notes: notesOf(frames, version, seconds) }
}

function wallClock(at: number, { clockSet }: Scene): number {
  return clockSet && at >= clockSet.at ? at + clockSet.by : at
}

function arrivalOf(taken: number, scene: Scene, random: number): number {
  const { burst, hold, jitter = 0.02 } = scene
  let at = taken + latency + random * jitter
  if (burst) at = (Math.floor(taken / burst) + 1) * burst + latency
  if (hold && at >= hold.from && at < hold.until) at = hold.until
  if (hold?.speed && taken > hold.from)
    at = Math.max(at, hold.until + (taken - hold.from) / hold.speed)
  return at
}

/** The filter of bridge.ts. */
class SimulatedBridge {
  #offset = 0
  #before = 0
  #highest = 0
  #last = -Infinity
  #lastAt: number | undefined
  #lastInput = 0
  #slack = 0

  pass(input: number, at: number): { stamp: number; wait: number } {
    const wait = this.#lastAt === undefined ? 0 : Math.max(0, at - this.#lastAt)
    const step = this.#lastAt === undefined ? 0 : input - this.#lastInput
    let stamp = input + this.#offset
    const isBack = Math.abs(input + this.#before - this.#highest - wait) < 1
    const isJump = stamp < this.#highest - 1.5 || stamp > this.#highest + wait + (isBack ? 1 : 10)
    if (this.#lastAt === undefined) this.#highest = stamp
    else if (isJump) {
      const next = isBack
        ? this.#before
        : this.#offset + this.#highest + Math.max(wait, 0.001) - stamp
      this.#before = this.#offset
      this.#offset = next
      stamp = input + next
    } else {
      this.#slack = Math.max(0, this.#slack + Math.min(wait, 0.5) - 4 * step)
      if (this.#slack > 0.5) {
        this.#offset += this.#slack
        stamp += this.#slack
        this.#slack = 0
      }
    }
    this.#highest = Math.max(this.#highest, stamp)
    this.#lastAt = at
    this.#lastInput = input
    // The muxer lets nothing go back.
    this.#last = Math.max(this.#last + 1 / 90_000, stamp)
    return { stamp: this.#last, wait }
  }
}

function notesOf(
  frames: Frame[],
  version: Version,
  seconds: number,
): { at: number; frames: number }[] {
  const notes: { at: number; frames: number }[] = []
  const node = 0.003
  if (version === 'by timer') {
    let passed = 0
    for (let at = 0.2; at < seconds + 1; at += reportEverySeconds + 0.0003) {
      while ((frames[passed]?.at ?? Infinity) <= at) passed += 1
      notes.push({ at: at + node, frames: passed })
    }
    return notes
  }
  const moments = frames.map(({ at }) => at)
  if (version === 'by sound') for (let at = 0.01; at < seconds; at += soundStep) moments.push(at)
  let [passed, last] = [0, -1]
  for (const at of moments.sort((a, b) => a - b)) {
    while ((frames[passed]?.at ?? Infinity) <= at) passed += 1
    if (at - last < reportEverySeconds) continue
    last = at
    notes.push({ at: at + node, frames: passed })
  }
  return notes
}

/** The arrivals as fitTimes() takes them. */
export function arrivalsOf({ notes, waits, frames }: ReturnType<typeof simulateFrames>): Arrival[] {
  const seen = notes.map(({ at, frames: passed }) => ({ at, index: passed }))
  for (const { at, stamp, seconds } of waits) {
    const index = frames.findIndex((frame) => frame.stamp === stamp)
    seen.push({ at: at - seconds, index }, { at, index: index + 1 })
  }
  return seen.sort((a, b) => a.at - b.at)
}

/** Records a scene in segments of 10 s, cut at keyframes each second, and settles their times as it goes. */
export function simulateRun(
  scene: Scene,
  version: Version,
  segmentSeconds = 10,
): SimulatedSegment[] {
  const { seconds = 120, sound, cameraClock } = scene
  const { frames, waits, notes } = simulateFrames(scene, version)
  const random = randomNumbers()
  const sounds: Frame[] = []
  const soundBridge = new SimulatedBridge()
  let lastAt = 0
  for (let taken = 0; taken < (sound ? seconds : 0); taken += soundStep) {
    if (sound?.isMissing?.(taken)) continue
    const late = sound?.late ?? 0
    lastAt = Math.max(lastAt, arrivalOf(taken + late, scene, random()))
    const { stamp } = soundBridge.pass(sound?.stamp?.(taken) ?? taken, wallClock(lastAt, scene))
    sounds.push({ taken, stamp, at: lastAt })
  }
  const run = new RunTimes({ heldFrames: 1 })
  type Event = { at: number; act: () => void }
  const events: Event[] = []
  // FFmpeg's reports count only when frames have come.
  for (const [n, note] of notes.entries())
    if (note.frames === 0 || note.frames > (notes[n - 1]?.frames ?? 0))
      events.push({ at: note.at, act: () => run.arrived(note.at * 1000, note.frames) })
  const rose = notes.filter((note, n) => note.frames > (notes[n - 1]?.frames ?? 0))
  for (const { at, stamp, seconds: said } of waits) {
    // FFmpeg counts a wait by the wall clock, and the recorder takes a step of that out of it.
    const before = rose.findLast((note) => note.at < at)?.at ?? 0
    const wait = said - (wallClock(at, scene) - at - wallClock(before, scene) + before)
    if (wait > 0) events.push({ at, act: () => run.waited(at * 1000, stamp, wait) })
  }
  const done: SimulatedSegment[] = []
  const open: { frames: [number, number]; sounds: [number, number] }[] = []
  const closeWhatCan = (isOver: boolean): void => {
    for (let range = open[0]; range; range = open[0]) {
      const times = run.of(range, isOver)
      if (!times) return
      open.shift()
      const [a, b] = range.frames
      const [c, d] = range.sounds
      done.push({
        times,
        taken: frames.slice(a, b).map(({ taken }) => taken),
        stamps: frames.slice(a, b).map(({ stamp }) => stamp),
        takenSound: sounds.slice(c, d).map(({ taken }) => taken),
        soundStamps: sounds.slice(c, d).map(({ stamp }) => stamp),
      })
    }
  }
  let [begin, beginSound, nextSound] = [0, 0, 0]
  let [fragment, fragmentSound] = [0, 0]
  let nextCut = segmentSeconds
  const flush = (until: number, untilSound: number, at: number): void => {
    const [from, fromSound] = [fragment, fragmentSound]
    if (until <= from && untilSound <= fromSound) return
    const first = frames[from]
    // A fragment is read up to a few seconds after it was written.
    const setBy = wallClock(at + readLate, scene) - wallClock(at, scene) - readLate
    const reference =
      cameraClock === undefined ? at + hurry(from) - setBy : first && first.taken + cameraClock
    events.push({
      at: at + 0.001,
      act: () => {
        run.add({
          picture: frames.slice(from, until).map(({ stamp }) => stamp),
          sound: sounds.slice(fromSound, untilSound).map(({ stamp }) => stamp),
          reference,
        })
        closeWhatCan(false)
      },
    })
    fragment = until
    fragmentSound = untilSound
  }
  for (const [n, { stamp, at, taken }] of frames.entries()) {
    for (; (sounds[nextSound]?.at ?? Infinity) <= at; nextSound += 1) {
      const { stamp: soundStamp = 0, at: soundAt = 0 } = sounds[nextSound] ?? {}
      const first = sounds[fragmentSound]?.stamp ?? soundStamp
      if (nextSound > fragmentSound && soundStamp - first >= 0.5) flush(n, nextSound, soundAt)
    }
    const isKey = Math.round(taken * 25) % 25 === 0 || (scene.fps ?? 25) <= 1
    if (isKey && at >= nextCut && n > begin) {
      flush(n, nextSound, at)
      const range: (typeof open)[number] = { frames: [begin, n], sounds: [beginSound, nextSound] }
      events.push({ at: at + 0.002, act: () => open.push(range) })
      events.push({ at: at + 0.003, act: () => run.beginSegment() })
      begin = n
      beginSound = nextSound
      nextCut = (Math.floor(at / segmentSeconds) + 1) * segmentSeconds
    } else if (stamp - (frames[fragment]?.stamp ?? stamp) >= 0.5) flush(n, nextSound, at)
  }
  flush(frames.length, sounds.length, seconds + 1)
  run.beginSegment()
  for (const { act } of events.sort((a, b) => a.at - b.at)) act()
  open.push({ frames: [begin, frames.length], sounds: [beginSound, sounds.length] })
  closeWhatCan(true)
  return done
}

/** By how much the times of a segment's frames are wrong, in seconds. */
export function errorsOf({ taken, stamps, times }: SimulatedSegment): number[] {
  const { startMs, by, picture } = times
  return taken.map((moment, n) => {
    const at = startMs / 1000 + valueAt(picture, by === 'number' ? n : (stamps[n] ?? 0))
    return at - moment - latency
  })
}

/** By how much sound is taken for later than it was. */
export function soundErrorsOf({ takenSound, soundStamps, times }: SimulatedSegment): number[] {
  const { startMs, picture, sound = picture } = times
  return takenSound.map((moment, n) => {
    return startMs / 1000 + valueAt(sound, soundStamps[n] ?? 0) - moment - latency
  })
}

function valueAt(table: [number, number][], key: number): number {
  const next = table.findIndex(([stamp]) => stamp >= key)
  const [a, b] = [table[next - 1], table[next]]
  if (a && b) return a[1] + ((key - a[0]) * (b[1] - a[1])) / (b[0] - a[0])
  const end = b ?? table.at(-1)
  return end ? end[1] + key - end[0] : NaN
}

/** The same in each run. */
function randomNumbers(): () => number {
  let seed = 1
  return () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648
}

/** How late FFmpeg is with a fragment, in seconds: never twice the same. */
function hurry(n: number): number {
  return 0.004 * Math.abs((Math.sin(n * 12.9898) * 43758.5453) % 1)
}

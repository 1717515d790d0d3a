import type { FrameTimes, TimeTable } from '../../segments/closed-segments.ts'
import { isPause } from '../../segments/gaps.ts'
import { fitTimes, timeOf, type Times } from './fit-times.ts'
import type { Arrival, Knot, Point } from './points.ts'
import { SoundOffset } from './sound-offset.ts'
import { Stamps } from './stamps.ts'

/** A fragment of a recording; time stamps in seconds. */
export interface FragmentTimes {
  picture: number[]
  sound: number[]
  /** What its `prft` box says, on the monotonic clock, in seconds. */
  reference?: number | undefined
}

/** When the frames of a segment were taken. */
export interface SegmentTimes extends Omit<FrameTimes, 'end'> {
  /** Monotonic, in ms: of its first frame, and of what comes behind its last. */
  startMs: number
  endMs: number
}

/** A segment, as the numbers of its first frame and sample of sound, and of those behind its last. */
export interface SegmentRange {
  frames: [number, number]
  sounds: [number, number]
}

/** FFmpeg ends a fragment with the first packet that would make it longer. */
export const fragmentSeconds = 0.5
/**
 * How often FFmpeg says how many frames have come. No multiple of it is a second, so that no camera's
 * frames come always just behind a report; and the reports of two minutes, in which a recorder that
 * hangs is replaced, fit into the buffer of a socket, so that FFmpeg goes on meanwhile.
 */
export const reportEverySeconds = 0.73

/** What is known of the time before what is to be settled helps to settle it. */
const contextSeconds = 60
/** What is this much older than the newest is settled, so that a segment of a day takes no more memory. */
const unsettledSeconds = 60
/** So much must have come behind a frame before its time is settled. */
const behindSeconds = 3
/** A difference from what was settled before is spread over so long. */
const blendSeconds = 5
const leastBlended = 0.02
const mostBlended = 0.3
/** The rate of a clock is told by the last ten minutes. */
const mostLowest = 120
/** So many steps tell how long one is. */
const usualOf = 8
/** How late a report may be, in seconds. */
const reportLate = 0.13
/** How often sound is compared with the picture. */
const compareEverySeconds = 2

const ofPictures = { pauseBefore: 'last', doubtSeconds: 2 } as const
/** Fragments tell less exactly when sound came. */
const ofSounds = { pauseBefore: 'first', doubtSeconds: 15 } as const

type SettledKnot = Knot & { by: Times['by'] }

/** When a sample of sound came, and when it was taken if it goes with the picture. */
type SettledSound = SettledKnot & { byPicture: number | undefined; isKnot: boolean }

interface Counts {
  frames: number
  sounds: number
}

/** The times of one run of FFmpeg, settled piece by piece while it goes on. */
export class RunTimes {
  /** How many frames FFmpeg has got, but not passed on: its parser sees where a frame ends when the next begins. */
  readonly #held: number
  readonly #frames = new Stamps()
  readonly #sounds = new Stamps()
  #arrivals: { at: number; frames: number }[] = []
  /** When there was no frame yet. */
  #noneUntil = -Infinity
  #waits: { at: number; stamp: number; seconds: number }[] = []
  /** How many frames and samples of sound there were after each fragment. */
  #fragments: (Counts & { reference?: number | undefined })[] = []
  /** The numbers of the frames with which segments begin. */
  #begins: number[] = []
  /** What is settled, oldest first. */
  #settled: SettledKnot[] = []
  #settledSounds: SettledSound[] = []
  readonly #soundOffset = new SoundOffset()
  #lowest: Point[] = []
  #lowestSounds: Point[] = []

  constructor({ heldFrames }: { heldFrames: number }) {
    this.#held = heldFrames
  }

  /** How many frames, and samples of sound, have been read. */
  get read(): Counts {
    return { frames: this.#frames.end, sounds: this.#sounds.end }
  }

  /** FFmpeg says that it has passed on so many frames. */
  arrived(atMs: number, frames: number): void {
    if (frames > 0) this.#arrivals.push({ at: atMs / 1000, frames })
    else this.#noneUntil = atMs / 1000
  }

  /** FFmpeg says that it passes on a frame for which it has waited so long, by its own wall clock. */
  waited(atMs: number, stamp: number, seconds: number): void {
    this.#waits.push({ at: atMs / 1000, stamp, seconds })
  }

  /** A segment begins with the next frame that is read. */
  beginSegment(): void {
    this.#begins.push(this.#frames.end)
  }

  /** A fragment has been read, behind all that were read before. */
  add({ picture, sound, reference }: FragmentTimes): void {
    this.#frames.push(picture)
    this.#sounds.push(sound)
    this.#fragments.push({ ...this.read, reference })
    const newest = this.#frames.last ?? 0
    const settledUntil = this.#settled.at(-1)?.stamp ?? this.#frames.values[0] ?? 0
    if (newest - settledUntil < 2 * unsettledSeconds) return
    const until = this.#frames.from(newest - unsettledSeconds)
    if (until !== undefined && this.#settle(until, false)) this.#forget()
  }

  /**
   * The times of a segment, which is the oldest of those that were begun; undefined where more has to
   * come before they can be told. `isOver` says that nothing more comes.
   */
  of({ frames: [first, end], sounds }: SegmentRange, isOver: boolean): SegmentTimes | undefined {
    if (end <= first || !this.#settle(Math.min(end, this.#frames.end - 1), isOver)) return undefined
    const knots = this.#settled.filter(({ index }) => index >= first && index < end)
    const lastAt = this.#at(end - 1)
    const [begin] = knots
    if (begin?.index !== first || lastAt === undefined) return undefined
    const last = { ...this.#knot(end - 1, lastAt), by: this.#settled.at(-1)?.by ?? 'stamp' }
    if (knots.at(-1)?.index !== end - 1) knots.push(last)
    const step = this.#usualStep(end) ?? 0
    const nextAt = this.#at(end)
    // What is missing behind the last frame is none of its time.
    const goesOn = nextAt !== undefined && !isPause(nextAt - lastAt, step || Infinity)
    const endAt = goesOn ? nextAt : lastAt + step
    const sound = this.#soundTimes(sounds, begin.at)
    this.#begins = this.#begins.filter((index) => index >= end)
    const lastSound = this.#settledSounds.findLastIndex(({ index }) => index < sounds[1])
    this.#settledSounds.splice(0, Math.max(0, lastSound))
    this.#forget()
    return {
      ...{ startMs: begin.at * 1000, endMs: endAt * 1000 },
      ...tableOf(knots, first, begin.at),
      ...(sound && { sound }),
    }
  }

  /** The median of the steps from frame to frame before one, in seconds; undefined where there is none. */
  #usualStep(end: number): number | undefined {
    const steps: number[] = []
    for (let index = end - usualOf; index < end; index += 1) {
      const [before, at] = [this.#at(index - 1), this.#at(index)]
      if (before !== undefined && at !== undefined) steps.push(at - before)
    }
    steps.sort((a, b) => a - b)
    return steps[Math.floor(steps.length / 2)]
  }

  #knot(index: number, at: number): Knot {
    return { index, stamp: this.#frames.at(index) ?? 0, at }
  }

  /** Settles the times of the frames up to one; false where that can't be done yet. */
  #settle(until: number, isOver: boolean): boolean {
    if ((this.#settled.at(-1)?.index ?? -1) >= until) return true
    const { values, firstIndex } = this.#frames
    const past = { firstIndex, lowest: this.#lowest, ...ofPictures }
    let arrivals = this.#arrivalsOfFrames()
    let times = fitTimes(values, arrivals, past)
    if (isOver && this.#isAhead(times)) {
      arrivals = this.#arrivalsOfFrames(this.#frames.end - 1)
      times = fitTimes(values, arrivals, past)
    }
    if (times.knots.length === 0) return false
    if (!isOver) {
      if ((times.unsettledFrom ?? Infinity) <= until) return false
      const seenUntil = this.#arrivals.at(-1)?.at ?? 0
      if (seenUntil - timeOf(times, this.#knot(until, 0)) < behindSeconds) return false
    }
    this.#append(times, until)
    this.#soundOffset.learn(this.#fragments, {
      stampOf: (index) => this.#frames.at(index),
      timeOf: (index) => timeOf(times, this.#knot(index, 0)),
    })
    this.#settleSounds(until, arrivals, isOver)
    return true
  }

  /** Adds what is new of times to what is settled. */
  #append(times: Times, until: number): void {
    const done = this.#settled.at(-1)
    const from = done ? done.index + 1 : this.#frames.firstIndex
    const atOf = blended(times, done)
    const wanted = new Set([from, until])
    for (const { index } of times.knots) wanted.add(index)
    for (const index of this.#begins) wanted.add(index)
    const blendedUntil = done && this.#frames.from(done.stamp + blendSeconds)
    if (blendedUntil !== undefined) wanted.add(blendedUntil)
    for (const index of [...wanted].sort((a, b) => a - b)) {
      if (index < from || index > until) continue
      const at = atOf(this.#knot(index, 0))
      // Time never goes back; where it would, a frame takes no time.
      const before = this.#settled.at(-1)
      const least = before ? before.at + 0.001 * (index - before.index) : -Infinity
      this.#settled.push({ ...this.#knot(index, Math.max(at, least)), by: times.by })
    }
  }

  /** When a settled frame was taken. */
  #at(index: number): number | undefined {
    const last = this.#settled.at(-1)
    if (!last || index > last.index || index < this.#frames.firstIndex) return undefined
    const next = this.#settled.findIndex((knot) => knot.index >= index)
    const knots = this.#settled.slice(Math.max(0, next - 1), next + 1)
    const by = this.#settled[next]?.by ?? 'stamp'
    return timeOf({ by, knots }, this.#knot(index, 0))
  }

  /** Whether the last frame would have been taken after it had come. */
  #isAhead(times: Times): boolean {
    const lastAt = timeOf(times, this.#knot(this.#frames.end - 1, 0))
    return lastAt > (this.#arrivals.at(-1)?.at ?? Infinity)
  }

  /** No frame has a higher number than `last`: at its end FFmpeg holds none back. */
  #arrivalsOfFrames(last = Infinity): Arrival[] {
    const held = this.#held
    const seen = this.#arrivals.map(({ at, frames }) => {
      return { at, index: Math.min(frames - 1 + held, last) }
    })
    for (const { at, stamp, seconds } of this.#waits) {
      const index = this.#frames.indexOf(stamp)
      if (index === undefined || this.#wentOn({ at, index, seconds })) continue
      seen.push({ at: at - seconds, index: index - 1 + held }, { at, index: index + held })
    }
    return seen.sort((a, b) => a.at - b.at)
  }

  /** Whether frames were still passed on in what is told as a wait: FFmpeg's wall clock was set. */
  #wentOn({ at, index, seconds }: { at: number; index: number; seconds: number }): boolean {
    const from = at - seconds + reportEverySeconds + reportLate
    return this.#arrivals.some(
      (arrival) => arrival.at > from && arrival.at < at - 0.1 && arrival.frames < index,
    )
  }

  #settleSounds(until: number, ofFrames: Arrival[], isOver: boolean): void {
    const counted = isOver
      ? this.read
      : this.#fragments.findLast(({ frames }) => frames <= until + 1)
    const end = counted?.sounds ?? 0
    const from = Math.max(this.#sounds.firstIndex, (this.#settledSounds.at(-1)?.index ?? -1) + 1)
    if (end <= from) return
    const { values, firstIndex } = this.#sounds
    const past = { firstIndex, lowest: this.#lowestSounds, ...ofSounds }
    const times = fitTimes(values, this.#arrivalsOfSounds(ofFrames), past)
    if (times.knots.length === 0) return
    const isKnot = new Set([from, ...times.knots.map(({ index }) => index), end - 1])
    const wanted = new Set([...isKnot, ...this.#compared(from, end)])
    for (const index of [...wanted].sort((a, b) => a - b)) {
      if (index < from || index >= end) continue
      const stamp = this.#sounds.at(index) ?? 0
      const at = timeOf(times, { index, stamp })
      const byPicture = this.#pictureAt(stamp)
      const knot = { index, stamp, at, by: times.by, byPicture, isKnot: isKnot.has(index) }
      this.#settledSounds.push(knot)
    }
  }

  *#compared(from: number, end: number): Generator<number> {
    const step = this.#sounds.meanStep
    const every = step > 0 ? Math.max(1, Math.round(compareEverySeconds / step)) : end
    for (let index = from; index < end; index += every) yield index
  }

  /** When a frame with a time stamp would have been taken; undefined where time stamps say nothing. */
  #pictureAt(stamp: number): number | undefined {
    const next = this.#settled.findIndex((knot) => knot.stamp >= stamp)
    const around = next < 0 ? this.#settled.slice(-2) : this.#settled.slice(Math.max(0, next - 1))
    const knots = around.slice(0, 2)
    if (knots.some(({ by }) => by === 'number')) return undefined
    return timeOf({ by: 'stamp', knots }, { index: 0, stamp })
  }

  /**
   * By when which sound had come, as far as fragments tell. One ends when the frame is passed on that
   * would be too long for it: when the frame after that comes, which is when it is taken unless it is
   * late.
   */
  #arrivalsOfSounds(ofFrames: Arrival[]): Arrival[] {
    const result: Arrival[] = []
    let before: Counts = { frames: this.#frames.firstIndex, sounds: this.#sounds.firstIndex }
    const isSlow = this.#frames.meanStep > 0.2
    let next = 0
    for (const { frames, sounds } of this.#fragments) {
      const soundSeconds = (this.#sounds.at(sounds) ?? 0) - (this.#sounds.at(before.sounds) ?? 0)
      const isByPicture = soundSeconds < fragmentSeconds
      const newest = frames + this.#held - (isByPicture ? 0 : 1)
      while (next < ofFrames.length && (ofFrames[next]?.index ?? 0) < newest) next += 1
      const [earliest, latest] = [ofFrames[next - 1]?.at ?? this.#noneUntil, ofFrames[next]?.at]
      const taken = this.#at(newest) ?? latest ?? 0
      // With few frames a fragment ends long after its last one came.
      const index = (isSlow && !isByPicture ? before.sounds : sounds) - 1
      const hasBoth = frames > before.frames && sounds > before.sounds
      if (hasBoth && latest !== undefined && index >= this.#sounds.firstIndex)
        result.push({ at: Math.min(latest, Math.max(earliest, taken)), index })
      before = { frames, sounds }
    }
    return result
  }

  /** Sound that goes with the picture has the picture's times; undefined then. */
  #soundTimes([first, end]: [number, number], startAt: number): TimeTable | undefined {
    const inside = this.#settledSounds.filter(({ index }) => index > first && index < end - 1)
    const ends = [first, end - 1].flatMap((index) => this.#soundAt(index) ?? [])
    const all = [...ends.slice(0, 1), ...inside, ...ends.slice(1)]
    if (all.length === 0) return undefined
    const step = this.#frames.meanStep
    // A frame that lasts as long as a fragment ends this one or the next.
    const offset = this.#soundOffset.of(all, step > 0.9 * fragmentSeconds ? 2 * step : step)
    if (offset === 'as the picture') return undefined
    const knots = all.filter((knot, n) => knot.isKnot || n === 0 || n === all.length - 1)
    const shifted = knots.map((knot) => ({ ...knot, by: 'stamp' as const, at: knot.at + offset }))
    return tableOf(shifted, first, startAt).picture
  }

  /** A settled sample of sound; undefined where nothing is settled around it. */
  #soundAt(index: number): SettledSound | undefined {
    const stamp = this.#sounds.at(index)
    const next = this.#settledSounds.findIndex((knot) => knot.index >= index)
    const [before, behind] = [this.#settledSounds[next - 1], this.#settledSounds[next]]
    if (behind?.index === index) return behind
    if (!before || !behind || stamp === undefined) return undefined
    const at = timeOf({ by: behind.by, knots: [before, behind] }, { index, stamp })
    return { ...behind, index, stamp, at, byPicture: this.#pictureAt(stamp) }
  }

  /** Drops what nobody will ask for, but for what helps to settle what comes. */
  #forget(): void {
    const settled = this.#settled.at(-1)
    const old = settled && this.#frames.from(settled.stamp - contextSeconds)
    // A segment that is over will be asked for, whenever its times are known.
    const asked = (this.#begins[1] ?? Infinity) - usualOf - 2
    const keep = Math.min(old ?? 0, asked)
    const fragment = this.#fragments.findLast(({ frames }) => frames <= keep)
    if (!fragment || fragment.frames <= this.#frames.firstIndex) return
    const ofFrames = this.#arrivalsOfFrames()
    const lowest = this.#frames.lowestBefore(fragment.frames, ofFrames)
    const lowestSounds = this.#sounds.lowestBefore(
      fragment.sounds,
      this.#arrivalsOfSounds(ofFrames),
    )
    this.#lowest = [...this.#lowest, ...lowest].slice(-mostLowest)
    this.#lowestSounds = [...this.#lowestSounds, ...lowestSounds].slice(-mostLowest)
    this.#frames.dropBefore(fragment.frames)
    this.#sounds.dropBefore(fragment.sounds)
    const firstStamp = this.#frames.values[0] ?? 0
    this.#fragments = this.#fragments.filter(({ frames }) => frames > fragment.frames)
    this.#arrivals = this.#arrivals.filter(({ frames }) => frames >= fragment.frames)
    this.#waits = this.#waits.filter(({ stamp }) => stamp >= firstStamp)
    const begin = Math.min(this.#begins[0] ?? Infinity, fragment.frames)
    const last = this.#settled.findLastIndex(({ index }) => index <= begin)
    this.#settled.splice(0, Math.max(0, last))
  }
}

/** Times that begin where what was settled ended; a difference goes away within seconds. */
function blended(times: Times, done: Knot | undefined): (knot: Knot) => number {
  const difference = done ? done.at - timeOf(times, done) : 0
  const isBlended = Math.abs(difference) >= leastBlended && Math.abs(difference) <= mostBlended
  return (knot) => {
    const share = done && isBlended ? 1 - (knot.stamp - done.stamp) / blendSeconds : 0
    return timeOf(times, knot) + difference * Math.max(0, Math.min(1, share))
  }
}

function tableOf(
  knots: SettledKnot[],
  first: number,
  startAt: number,
): { by: Times['by']; picture: TimeTable } {
  const by = knots.some((knot) => knot.by === 'number') ? 'number' : 'stamp'
  const rounded = (seconds: number): number => Math.round(seconds * 1e5) / 1e5
  const picture = knots.map(({ index, stamp, at }): [number, number] => [
    by === 'number' ? index - first : rounded(stamp),
    rounded(at - startAt),
  ])
  return { by, picture }
}

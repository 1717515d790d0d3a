import { blockSeconds, lowestOfBlocks, madeUpSeconds, median, rateOf } from './clock-rate.ts'

/**
 * When the frames of a recording were taken. A camera's time stamps say how far apart its frames are,
 * more or less; their arrival says when they were taken, but for the delays of a network.
 *
 * Let the lag of a frame be its arrival less its time stamp. A delay raises the lag of some frames,
 * and the frames behind them make up for it; a pause of the camera raises it for good. So a frame's
 * time is its time stamp plus the smallest lag of the frames that come soon after it. A clock that
 * runs too fast or too slow makes the lag fall or rise steadily: that is taken out first. A time stamp
 * that jumps ahead makes the lag fall at once, where the step between two frames is longer than usual:
 * there a new stretch begins.
 */

/** By this moment this frame had come. Moments here are seconds of one clock that only rises. */
export interface Arrival {
  at: number
  /** The number of the frame that came last. */
  index: number
}

/** A frame, and the moment when it was taken. */
export interface Knot {
  index: number
  /** Its time stamp, in seconds. */
  stamp: number
  at: number
}

/** When frames were taken: in proportion to time stamps between two knots, or to the frames' numbers. */
export interface Times {
  by: 'stamp' | 'number'
  knots: Knot[]
  /** The first frame of which it can't be told yet whether it was delayed, or came after a pause. */
  unsettledFrom: number | undefined
}

/** How far behind a frame others may come that were not delayed as it was; further where frames still make up for it. */
const lookAheadSeconds = 60
/** How much the lag falls in ten seconds at least while frames make up for a delay. */
const leastMadeUp = 0.2
/** Time stamps that jump ahead by less are off by no more. */
const leastJump = 0.25
/** Of the first frames of a recording a smaller step ahead may be as they were taken. */
const leastBeginJump = 0.5
/** A larger rise of the lag is a pause; a smaller one is a clock that drifts. */
const leastPause = 0.3
/** How straight a line is drawn through small changes of the lag. */
const tolerance = 0.04
/** A rise behind which less came than this may be anything. */
const unseenSeconds = 1
/** A rise that is this large is waited for, whether something makes up for it, and if it does, longer. */
const doubtfulRise = 0.5
const patienceSeconds = 30
/** Where most steps add up to less than this share of the whole, time stamps say nothing. */
const leastShare = 0.2
/** The largest step by which time stamps that stand still are advanced (see bridge.ts); a longer one is a pause. */
const mostBridged = 1.2

export interface Point extends Knot {
  /** Arrival less time stamp. */
  lag: number
}

/** What is known of the frames before those that are fitted. */
export interface Past {
  /** The number of the first frame that is fitted. */
  firstIndex: number
  /** The frames before that came with the least delay, one in some seconds, to tell the rate of the clock by. */
  lowest: Point[]
  /** Where a pause is that time stamps don't show: before the first or the last frame that came between two arrivals. */
  pauseBefore: 'first' | 'last'
  /** In so many last seconds a small rise of the lag is most often a delay. */
  doubtSeconds: number
}

/**
 * Fits times to frames, whose time stamps (in seconds) rise. No knots where no arrival of these
 * frames is known.
 */
export function fitTimes(
  stamps: ArrayLike<number>,
  arrivals: Arrival[],
  past: Past = { firstIndex: 0, lowest: [], pauseBefore: 'last', doubtSeconds: 2 },
): Times {
  const { firstIndex } = past
  if (!standStill(stamps)) return { by: 'stamp', ...fitStamps(stamps, arrivals, past) }
  const even = evenStamps(stamps, arrivals, firstIndex)
  const { knots, unsettledFrom } = fitStamps(even, arrivals, { ...past, lowest: [] })
  const withStamps = knots.map((knot) => ({ ...knot, stamp: stamps[knot.index - firstIndex] ?? 0 }))
  return { by: 'number', knots: withStamps, unsettledFrom }
}

/** When something was taken, by times that need not reach that far. */
export function timeOf(
  { by, knots }: Pick<Times, 'by' | 'knots'>,
  { index, stamp }: Omit<Knot, 'at'>,
): number {
  const keyOf = (knot: Omit<Knot, 'at'>): number => (by === 'number' ? knot.index : knot.stamp)
  const key = keyOf({ index, stamp })
  const found = knots.findIndex((knot) => keyOf(knot) >= key)
  const next = found < 0 ? knots.length - 1 : Math.max(1, found)
  const [before, behind] = [knots[next - 1], knots[next]]
  if (!before || !behind) {
    const only = before ?? behind ?? knots[0]
    return only ? only.at + (by === 'number' ? 0 : key - keyOf(only)) : NaN
  }
  const share = (key - keyOf(before)) / (keyOf(behind) - keyOf(before) || 1)
  return before.at + share * (behind.at - before.at)
}

/** Whether time stamps hardly advance from frame to frame, and now and then by much (see bridge.ts). */
function standStill(stamps: ArrayLike<number>): boolean {
  let span = 0
  for (let n = 1; n < stamps.length; n += 1) {
    const step = (stamps[n] ?? 0) - (stamps[n - 1] ?? 0)
    if (step <= mostBridged) span += step
  }
  return usualStep(stamps) * stamps.length < leastShare * span
}

/** Time stamps as if frames came evenly. */
function evenStamps(
  stamps: ArrayLike<number>,
  arrivals: Arrival[],
  firstIndex: number,
): Float64Array {
  const seen = arrivals.filter(({ index }) => stamps[index - firstIndex] !== undefined)
  const [first, last] = [seen[0], seen.at(-1)]
  const frames = (last?.index ?? 0) - (first?.index ?? 0)
  const step = first && last && frames > 0 ? (last.at - first.at) / frames : 1
  return Float64Array.from({ length: stamps.length }, (_, n) => n * step)
}

function fitStamps(
  stamps: ArrayLike<number>,
  arrivals: Arrival[],
  { firstIndex, lowest, pauseBefore, doubtSeconds }: Past,
): Pick<Times, 'knots' | 'unsettledFrom'> {
  const points = pointsOf(stamps, arrivals, firstIndex)
  const begin = firstIndex === 0 ? unseenBegin(stamps, points) : undefined
  if (begin) points.unshift(begin)
  if (points.length === 0) return { knots: [], unsettledFrom: undefined }
  const rate = rateOf(points, lowest)
  for (const point of points) point.lag -= rate * point.stamp
  const settled = settle(points, stretches(points, stamps, firstIndex))
  const all = lagKnots(flattenEnd(settled, doubtSeconds), stamps, { firstIndex, pauseBefore })
  const knots = simplified(all).map(({ index, stamp, lag }) => ({
    ...{ index, stamp },
    at: stamp * (1 + rate) + lag,
  }))
  return { knots, unsettledFrom: doubtfulFrom(settled, points) }
}

/** One for each frame that was seen to have come, by what saw it first. */
export function pointsOf(
  stamps: ArrayLike<number>,
  arrivals: Arrival[],
  firstIndex: number,
): Point[] {
  const points: Point[] = []
  let seen = -Infinity
  for (const { at, index } of arrivals) {
    const stamp = stamps[index - firstIndex]
    if (index <= seen || stamp === undefined) continue
    seen = index
    points.push({ index, stamp, at, lag: at - stamp })
  }
  return points
}

/**
 * The frame behind which time stamps jump ahead before any was seen to come: FFmpeg has learnt from a
 * sender report how sound and picture belong together. That it came just before the next is far
 * likelier than that a recording began with a pause.
 */
function unseenBegin(stamps: ArrayLike<number>, points: Point[]): Point | undefined {
  const [first] = points
  if (!first) return undefined
  const usual = usualStep(stamps)
  for (let n = first.index; n > 0; n -= 1) {
    const [stamp, next] = [stamps[n - 1] ?? 0, stamps[n] ?? 0]
    if (next - stamp - usual < Math.max(leastBeginJump, usual / 2)) continue
    const at = first.at - (first.stamp - next) - usual
    return { index: n - 1, stamp, at, lag: at - stamp }
  }
  return undefined
}

/** The places of the points with which stretches begin, between which time stamps jumped ahead. */
function stretches(points: Point[], stamps: ArrayLike<number>, firstIndex: number): number[] {
  const usual = usualStep(stamps)
  const begins = [0]
  for (const [n, point] of points.entries()) {
    const before = points[n - 1]
    if (!before) continue
    const steps = longestStep(stamps, before.index - firstIndex, point.index - firstIndex)
    const extra = steps - usual
    if (extra < Math.max(leastJump, usual / 2)) continue
    const from = begins.at(-1) ?? 0
    const fall =
      lowestWithin(points.slice(from, n).toReversed(), before.stamp) -
      lowestWithin(points.slice(n), point.stamp)
    // What a network has held back may be made up for meanwhile.
    const most = extra + Math.max(leastPause, extra / 2)
    if (fall > leastJump && fall < most) begins.push(n)
  }
  return begins
}

/** The smallest lag of the points that are no further than 10 s from a time stamp. */
function lowestWithin(points: Point[], from: number): number {
  let lowest = Infinity
  for (const { stamp, lag } of points) {
    if (Math.abs(stamp - from) > 2 * blockSeconds) break
    lowest = Math.min(lowest, lag)
  }
  return lowest
}

function usualStep(stamps: ArrayLike<number>): number {
  const steps: number[] = []
  const every = Math.max(1, Math.floor(stamps.length / 500))
  for (let n = 1; n < stamps.length; n += every) steps.push((stamps[n] ?? 0) - (stamps[n - 1] ?? 0))
  return median(steps)
}

function longestStep(stamps: ArrayLike<number>, from: number, to: number): number {
  let longest = 0
  for (let n = Math.max(1, from + 1); n <= to; n += 1)
    longest = Math.max(longest, (stamps[n] ?? 0) - (stamps[n - 1] ?? 0))
  return longest
}

/** Gives each point the smallest lag of those that come soon after it, within its stretch. */
function settle(points: Point[], begins: number[]): Point[] {
  return begins.flatMap((begin, n) => {
    const stretch = points.slice(begin, begins[n + 1])
    const lows = slidingLows(stretch)
    return stretch.map((point, m) => ({ ...point, lag: lows[m] ?? point.lag }))
  })
}

/**
 * Keeps a rise at the very end from being taken for a pause: a small one of the last seconds, and one
 * behind which nothing came for a second.
 */
function flattenEnd(points: Point[], doubtSeconds: number): Point[] {
  const last = points.at(-1)
  const from = points.findIndex(({ stamp }) => stamp > (last?.stamp ?? 0) - doubtSeconds)
  const before = points[from - 1]
  if (!last || !before) return points
  return points.map((point, n) => {
    const isSmall = n >= from && point.lag - before.lag < 2 * doubtfulRise
    const isUnseen = n >= from && last.at - point.at < unseenSeconds
    const most = isSmall ? before.lag + leastPause / 2 : isUnseen ? before.lag : Infinity
    return { ...point, lag: Math.min(point.lag, most) }
  })
}

/** For each point the smallest lag from it on, as far as is looked ahead. */
function slidingLows(points: Point[]): number[] {
  const lows: number[] = []
  // Places of points that are lower than all behind them, the nearest first.
  const candidates: number[] = []
  let [head, next] = [0, 0]
  const lagAt = (place: number | undefined): number => points[place ?? 0]?.lag ?? Infinity
  const madeUpAt = madeUpBy(points)
  for (const [n, { stamp }] of points.entries()) {
    const until = Math.max(stamp + lookAheadSeconds, madeUpAt(stamp))
    for (; next < points.length && (points[next]?.stamp ?? 0) <= until; next += 1) {
      while (candidates.length > head && lagAt(candidates.at(-1)) >= lagAt(next)) candidates.pop()
      candidates.push(next)
    }
    while ((candidates[head] ?? n) < n) head += 1
    lows.push(lagAt(candidates[head]))
  }
  return lows
}

/** Until when the lag goes on falling that falls at a time stamp, or soon after it. */
function madeUpBy(points: Point[]): (stamp: number) => number {
  const blocks = lowestOfBlocks(points)
  const until = blocks.map(({ stamp }) => stamp)
  for (let n = blocks.length - 3; n >= 0; n -= 1)
    if ((blocks[n]?.lag ?? 0) - (blocks[n + 2]?.lag ?? 0) > leastMadeUp)
      until[n] = Math.max(until[n + 1] ?? 0, blocks[n + 3]?.stamp ?? Infinity)
  let n = 0
  return (stamp) => {
    while ((blocks[n + 1]?.stamp ?? Infinity) <= stamp) n += 1
    return Math.max(until[n] ?? stamp, until[n + 1] ?? stamp)
  }
}

/** From where on the lag has risen, until the end, so that it may still be made up for. */
function doubtfulFrom(settled: Point[], points: Point[]): number | undefined {
  const last = settled.at(-1)
  if (!last) return undefined
  const isFalling = lagFallsAtEnd(points)
  const rise = isFalling ? doubtfulRise / 5 : doubtfulRise
  const patience = isFalling ? madeUpSeconds : patienceSeconds
  const late = settled.filter(({ at }) => last.at - at < 2 * blockSeconds)
  // While they fall, the very last one may be higher than those before by chance.
  const ends = [last.lag, ...(isFalling ? [Math.min(...late.map(({ lag }) => lag))] : [])]
  const doubtful = ends.flatMap((end) => {
    const high = settled.findLastIndex(({ lag }) => end - lag > rise)
    const from = high < 0 ? undefined : settled[high + 1]
    return from && last.at - from.at < patience ? [from.index] : []
  })
  return doubtful.length > 0 ? Math.min(...doubtful) : undefined
}

/** Whether frames still come faster than they were taken. */
function lagFallsAtEnd(points: Point[]): boolean {
  const end = points.at(-1)?.at ?? 0
  const late = points.filter(({ at }) => end - at < 2 * blockSeconds)
  const middle = late.length >> 1
  const lowest = (some: Point[]): number => Math.min(...some.map(({ lag }) => lag))
  return late.length >= 4 && lowest(late.slice(0, middle)) - lowest(late.slice(middle)) > 0.1
}

type LagKnot = Omit<Point, 'at'>

/** The lag at each point; where it changes at once, that of the frames on both sides. */
function lagKnots(
  points: Point[],
  stamps: ArrayLike<number>,
  { firstIndex, pauseBefore }: Pick<Past, 'firstIndex' | 'pauseBefore'>,
): LagKnot[] {
  const knotAt = (place: number, lag: number): LagKnot => {
    return { index: firstIndex + place, stamp: stamps[place] ?? 0, lag }
  }
  const knots = [knotAt(0, points[0]?.lag ?? 0)]
  for (const [n, point] of points.entries()) {
    const before = points[n - 1]
    if (before && Math.abs(point.lag - before.lag) >= leastJump) {
      const [from, to] = [before.index - firstIndex, point.index - firstIndex]
      const place = breakBetween(stamps, from, to) ?? (pauseBefore === 'first' ? from + 1 : to)
      knots.push(knotAt(place - 1, before.lag), knotAt(place, point.lag))
    }
    knots.push(point)
  }
  knots.push(knotAt(stamps.length - 1, points.at(-1)?.lag ?? 0))
  return knots.filter(({ stamp }, n) => n === 0 || stamp > (knots[n - 1]?.stamp ?? -Infinity))
}

/** Before which frame time stamps say that the camera had paused. */
function breakBetween(stamps: ArrayLike<number>, from: number, to: number): number | undefined {
  let [best, longest]: [number | undefined, number] = [undefined, 0]
  for (let n = from + 1; n <= to; n += 1) {
    const step = (stamps[n] ?? 0) - (stamps[n - 1] ?? 0)
    if (step > longest) [best, longest] = [n, step]
  }
  const others = (stamps[to] ?? 0) - (stamps[from] ?? 0) - longest
  return longest * (to - from - 1) > 2 * others ? best : undefined
}

/** Without the knots that are on a line between others (Douglas and Peucker, 1973). */
function simplified(knots: LagKnot[]): LagKnot[] {
  const [first, last] = [knots[0], knots.at(-1)]
  if (!first || !last || knots.length < 3) return knots
  let [worst, place] = [0, 0]
  for (const [n, { stamp, lag }] of knots.entries()) {
    const share = (stamp - first.stamp) / (last.stamp - first.stamp || 1)
    const off = Math.abs(lag - (first.lag + share * (last.lag - first.lag)))
    if (off > worst) [worst, place] = [off, n]
  }
  if (worst <= tolerance) return [first, last]
  return [...simplified(knots.slice(0, place + 1)), ...simplified(knots.slice(place)).slice(1)]
}

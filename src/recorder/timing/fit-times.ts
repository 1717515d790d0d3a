import { rateOf } from './clock-rate.ts'
import { doubtfulFrom, flattenEnd, leastJump, settle, stretches } from './delays.ts'
import { pointsOf, usualStep, type Arrival, type Knot, type Point } from './points.ts'

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

/** When frames were taken: in proportion to time stamps between two knots, or to the frames' numbers. */
export interface Times {
  by: 'stamp' | 'number'
  knots: Knot[]
  /** The first frame of which it can't be told yet whether it was delayed, or came after a pause. */
  unsettledFrom: number | undefined
}

/** Of the first frames of a recording a smaller step ahead may be as they were taken. */
const leastBeginJump = 0.5
/** How straight a line is drawn through small changes of the lag. */
const tolerance = 0.04
/** Where most steps add up to less than this share of the whole, time stamps say nothing. */
const leastShare = 0.2
/** The largest step by which time stamps that stand still are advanced (see bridge.ts); a longer one is a pause. */
const mostBridged = 1.2

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

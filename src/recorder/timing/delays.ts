import { blockSeconds, lowestOfBlocks, madeUpSeconds } from './clock-rate.ts'
import { longestStep, usualStep, type Point } from './points.ts'

/** How far behind a frame others may come that were not delayed as it was; further where frames still make up for it. */
const lookAheadSeconds = 60
/** How much the lag falls in ten seconds at least while frames make up for a delay. */
const leastMadeUp = 0.2
/** Time stamps that jump ahead by less are off by no more. */
export const leastJump = 0.25
/** A larger rise of the lag is a pause; a smaller one is a clock that drifts. */
const leastPause = 0.3
/** A rise behind which less came than this may be anything. */
const unseenSeconds = 1
/** A rise that is this large is waited for, whether something makes up for it, and if it does, longer. */
const doubtfulRise = 0.5
const patienceSeconds = 30

/** The places of the points with which stretches begin, between which time stamps jumped ahead. */
export function stretches(
  points: Point[],
  stamps: ArrayLike<number>,
  firstIndex: number,
): number[] {
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

/** Gives each point the smallest lag of those that come soon after it, within its stretch. */
export function settle(points: Point[], begins: number[]): Point[] {
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
export function flattenEnd(points: Point[], doubtSeconds: number): Point[] {
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

/** The end of the fall of the lag in which a time stamp is, or just before which. */
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
export function doubtfulFrom(settled: Point[], points: Point[]): number | undefined {
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

import type { Point } from './points.ts'

/** The rate of a clock is judged by the smallest lag in each block of so long. */
export const blockSeconds = 5
/** A clock that is wrong by more counts in other units; else frames come faster than they were taken. */
const mostWrongRate = 0.12
/** Number of blocks, or of slopes between them, that tell the rate. */
const enough = 6
/** Longest time in which frames make up for a delay; those that do tell no rate. */
export const madeUpSeconds = 300
/** Smallest rise of the lag that is a delay, or a pause. */
const leastDelay = 0.5

/**
 * How much the lag rises in a second of time stamps: the median between points that are some seconds
 * apart, on which a delay or a pause has no influence.
 */
export function rateOf(points: Point[], before: Point[]): number {
  const lowest = undelayed([...before, ...lowestOfBlocks(points)])
  const span = (points.at(-1)?.stamp ?? 0) - (lowest[0]?.stamp ?? 0)
  const few = lowest.length < enough
  const block = few ? Math.min(blockSeconds, span / 8) : blockSeconds
  const all = few ? lowestOfBlocks(points, block) : lowest
  const [least, most] = [block, 4 * block]
  const slopes: number[] = []
  for (const [n, a] of all.entries())
    for (let m = n + 1; m < all.length; m += 1) {
      const b = all[m] as Point
      const apart = b.stamp - a.stamp
      if (apart > most) break
      if (apart >= least && apart > 0) slopes.push((b.lag - a.lag) / apart)
    }
  const rate = likeliest(slopes, few)
  // Less than what a few points can tell.
  return Math.abs(rate * span) < (few ? 0.15 : 0.1) ? 0 : rate
}

/** Without what comes soon after a rise of the lag, where there is enough before that. */
function undelayed(lowest: Point[]): Point[] {
  const end = lowest.at(-1)?.stamp ?? 0
  for (let n = enough; n < lowest.length; n += 1) {
    const [from, last, point] = [lowest[0], lowest[n - 1], lowest[n]]
    if (!from || !last || !point || end - point.stamp > madeUpSeconds) continue
    const usual = (last.lag - from.lag) / (last.stamp - from.stamp)
    if (point.lag - last.lag - usual * (point.stamp - last.stamp) > leastDelay)
      return lowest.slice(0, n)
  }
  return lowest
}

/**
 * The median, but that of what a clock does which is only wrong where few agree on more. Of few
 * points no more is believed than what most agree on: one may have been seen seconds late.
 */
function likeliest(slopes: number[], few: boolean): number {
  const usual = median(slopes)
  if (Math.abs(usual) <= mostWrongRate) return usual
  const agree = slopes.filter((slope) => Math.abs(slope - usual) < mostWrongRate / 2)
  const small = slopes.filter((slope) => Math.abs(slope) <= mostWrongRate)
  if (slopes.length >= enough && agree.length >= 0.75 * slopes.length) return usual
  if (small.length > 0.2 * slopes.length) return median(small)
  return few ? 0 : usual
}

/** The points with the smallest lag, one in each block of `seconds`. */
export function lowestOfBlocks(points: Point[], seconds = blockSeconds): Point[] {
  const lowest: Point[] = []
  let end = -Infinity
  for (const point of points) {
    const best = lowest.at(-1)
    if (!best || point.stamp >= end) {
      lowest.push(point)
      end = point.stamp + seconds
    } else if (point.lag < best.lag) lowest[lowest.length - 1] = point
  }
  return lowest
}

/** 0 of none; sorts them. */
export function median(numbers: number[]): number {
  numbers.sort((a, b) => a - b)
  return numbers[Math.floor(numbers.length / 2)] ?? 0
}

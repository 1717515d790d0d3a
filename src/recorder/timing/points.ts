import { median } from './clock-rate.ts'

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

export interface Point extends Knot {
  /** Arrival less time stamp. */
  lag: number
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

/** The median of the steps from frame to frame, in the unit of the time stamps. */
export function usualStep(stamps: ArrayLike<number>): number {
  const steps: number[] = []
  const every = Math.max(1, Math.floor(stamps.length / 500))
  for (let n = 1; n < stamps.length; n += every) steps.push((stamps[n] ?? 0) - (stamps[n - 1] ?? 0))
  return median(steps)
}

/** The longest step from frame to frame between two places. */
export function longestStep(stamps: ArrayLike<number>, from: number, to: number): number {
  let longest = 0
  for (let n = Math.max(1, from + 1); n <= to; n += 1)
    longest = Math.max(longest, (stamps[n] ?? 0) - (stamps[n - 1] ?? 0))
  return longest
}

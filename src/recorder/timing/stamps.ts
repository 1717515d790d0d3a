import { lowestOfBlocks } from './clock-rate.ts'
import { pointsOf, type Arrival, type Point } from './points.ts'

/** Time stamps in seconds, each higher than the one before, of which the oldest are dropped now and then. */
export class Stamps {
  /** The number of the first that is still there. */
  firstIndex = 0
  values: number[] = []

  /** The number of the next one. */
  get end(): number {
    return this.firstIndex + this.values.length
  }

  get last(): number | undefined {
    return this.values.at(-1)
  }

  get meanStep(): number {
    const { length } = this.values
    return length < 2 ? 0 : ((this.last ?? 0) - (this.values[0] ?? 0)) / (length - 1)
  }

  push(stamps: number[]): void {
    for (const stamp of stamps) this.values.push(stamp)
  }

  at(index: number): number | undefined {
    return this.values[index - this.firstIndex]
  }

  /** The number of the first that is not before a time stamp. */
  from(stamp: number): number | undefined {
    let [low, high] = [0, this.values.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.values[middle] ?? 0) < stamp) low = middle + 1
      else high = middle
    }
    return low < this.values.length ? this.firstIndex + low : undefined
  }

  /** The number of the one with this very time stamp. */
  indexOf(stamp: number): number | undefined {
    const index = this.from(stamp - 0.0005)
    return index !== undefined && Math.abs((this.at(index) ?? 0) - stamp) < 0.001
      ? index
      : undefined
  }

  /** Of those before one the least delayed, one in some seconds. */
  lowestBefore(index: number, arrivals: Arrival[]): Point[] {
    const before = arrivals.filter((arrival) => arrival.index < index)
    return lowestOfBlocks(pointsOf(this.values, before, this.firstIndex))
  }

  dropBefore(index: number): void {
    if (index <= this.firstIndex) return
    this.values = this.values.slice(index - this.firstIndex)
    this.firstIndex = index
  }
}

/** How much room there was at a moment of the monotonic clock. */
export interface SpaceSample {
  atMs: number
  freeBytes: number
}

const hourMs = 3_600_000
const windowMs = hourMs
/** The decline of a shorter time says nothing of an hour. */
const leastSpanMs = 5 * 60_000
/** Nobody can tell from an hour what will be in months. */
const mostHours = 30 * 24
/** The trend must exceed what files that come and go make of it by so much. */
const trendOverNoise = 2

/** The free space of the last hour, and what becomes of it. */
export class DiskForecast {
  #samples: SpaceSample[] = []

  add(sample: SpaceSample): void {
    this.#samples.push(sample)
    this.#samples = this.#samples.filter(({ atMs }) => sample.atMs - atMs <= windowMs)
  }

  get fullInHours(): number | undefined {
    return hoursUntilFull(this.#samples)
  }
}

/**
 * In how many hours nothing is free any more if it goes on as in these samples; undefined where
 * they show no clear decline, or span too short a time.
 */
export function hoursUntilFull(samples: SpaceSample[]): number | undefined {
  const last = samples.at(-1)
  const spanMs = last ? last.atMs - (samples[0]?.atMs ?? last.atMs) : 0
  if (!last || spanMs < leastSpanMs) return undefined
  const { slope, noise } = trend(samples)
  if (-slope * spanMs <= trendOverNoise * noise) return undefined
  const hours = last.freeBytes / -slope / hourMs
  return hours <= mostHours ? Math.round(hours * 10) / 10 : undefined
}

/** The straight line that fits best: bytes a ms, and how far off the samples are (RMS). */
function trend(samples: SpaceSample[]): { slope: number; noise: number } {
  const mean = (values: number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length
  const meanMs = mean(samples.map(({ atMs }) => atMs))
  const meanBytes = mean(samples.map(({ freeBytes }) => freeBytes))
  const centred = samples.map((s) => ({ x: s.atMs - meanMs, y: s.freeBytes - meanBytes }))
  const slope = mean(centred.map(({ x, y }) => x * y)) / mean(centred.map(({ x }) => x * x))
  const noise = Math.sqrt(mean(centred.map(({ x, y }) => (y - slope * x) ** 2)))
  return { slope, noise }
}

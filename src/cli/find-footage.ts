import type { Stretch } from './known-footage.ts'
import type { Span } from './spans.ts'

/** A file that shows some of a time, and where in it. */
export interface Found {
  stretch: Stretch
  /** From the beginning of the file to the moment that was asked for, or 0 where it begins later. */
  offsetSeconds: number
  /** To its end, or to that of the time that was asked for. */
  untilSeconds: number
}

/** Pure: the files that show a time, or its one moment; by camera, in their order. */
export function findFootage(stretches: Stretch[], { fromMs, toMs }: Span): Found[] {
  return stretches
    .filter((it) => it.toMs > fromMs && (it.fromMs < toMs || it.fromMs === fromMs))
    .sort((a, b) => (a.camera === b.camera ? a.fromMs - b.fromMs : a.camera < b.camera ? -1 : 1))
    .map((stretch) => ({
      stretch,
      offsetSeconds: Math.max(0, fromMs - stretch.fromMs) / 1000,
      untilSeconds: (Math.min(stretch.toMs, toMs) - stretch.fromMs) / 1000,
    }))
}

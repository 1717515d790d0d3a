import type { Stretch } from './stretches.ts'
import { joined, seamMs, without, type Span } from './spans.ts'

/** A file that shows some of a time, and where in it. */
export interface Found {
  stretch: Stretch
  /** From the beginning of the file to the moment that was asked for, or 0 where it begins later. */
  offsetSeconds: number
  /** To its end, or to that of the time that was asked for. */
  untilSeconds: number
}

/** Of less than that at its end a file shows nothing, where the next goes on. */
const leastMs = { moment: 1000, time: 250 }

/** Pure: the files that show a time, or its one moment; by camera, in their order. */
export function findFootage(stretches: Stretch[], asked: Span): Found[] {
  const sorted = [...stretches].sort((a, b) =>
    a.camera === b.camera ? a.fromMs - b.fromMs : a.camera < b.camera ? -1 : 1,
  )
  return sorted.flatMap((stretch, index) => {
    const next = sorted[index + 1]
    return shows(stretch, next?.camera === stretch.camera ? next : undefined, asked)
      ? [placeIn(stretch, asked)]
      : []
  })
}

/** Pure: what of a time is in none of the files that were found for it. */
export function holesIn(found: Found[], asked: Span): Span[] {
  const shown = joined(
    found.map(({ stretch }) => stretch),
    seamMs,
  )
  return without([asked], shown).filter(({ fromMs, toMs }) => toMs - fromMs > seamMs)
}

function shows(stretch: Stretch, next: Stretch | undefined, { fromMs, toMs }: Span): boolean {
  const isMoment = fromMs === toMs
  const goesOn = next !== undefined && next.fromMs - stretch.toMs <= seamMs && next.toMs > fromMs
  const endMs = isMoment && goesOn ? Math.max(stretch.toMs, next.fromMs) : stretch.toMs
  if (stretch.fromMs > fromMs) return stretch.fromMs < toMs
  if (endMs <= fromMs) return false
  const restMs = stretch.toMs - fromMs
  return !(goesOn && next.fromMs <= fromMs && restMs < leastMs[isMoment ? 'moment' : 'time'])
}

function placeIn(stretch: Stretch, { fromMs, toMs }: Span): Found {
  const isMoment = fromMs === toMs
  // From its very end a player shows nothing.
  const atMs = isMoment ? Math.min(fromMs, stretch.toMs - leastMs.moment) : fromMs
  const offsetMs = Math.max(0, atMs - stretch.fromMs)
  const untilMs = isMoment ? offsetMs : Math.min(stretch.toMs, toMs) - stretch.fromMs
  return { stretch, offsetSeconds: offsetMs / 1000, untilSeconds: untilMs / 1000 }
}

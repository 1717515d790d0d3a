import type { Gap } from '../segments/gaps.ts'
import type { Stretch } from './stretches.ts'
import { joined, lengthMs, seamMs, within, without, type Span } from './spans.ts'

/** How a part of a day is recorded: nothing was to be expected, or all of it is in S3, or waits, or some or all is missing. */
export type PartState = 'none' | 'stored' | 'waiting' | 'partly' | 'missing'

/** A time of which footage is missing. */
export interface Missing extends Span {
  /** Why, as it was noted; without it nobody knows. */
  reason?: string
}

/** What is recorded of a camera on a day. */
export interface DayCoverage {
  camera: string
  day: string
  /** Of the time of which there should be footage; undefined where that is none. */
  percent: number | undefined
  /** Of equal parts of the day: quarters of an hour, where it has 24 of them. */
  parts: PartState[]
  missing: Missing[]
}

export interface DayFacts {
  camera: string
  day: string
  /** The day itself, and the part of it of which there should be footage. */
  whole: Span
  expected: Span
  /** Of this camera, as far as they touch the day. */
  stretches: Stretch[]
  gaps: Gap[]
  /** Times that this machine's clock passed over when it was set ahead. */
  passedOver: Span[]
}

export const partsOfDay = 96

/** By so much may a noted gap begin later, or end earlier, than the files that it lies between. */
const looseMs = 3000

/** What is written of a file that still grows may be so old, for FFmpeg, the disk and the camera buffer. */
const unwrittenMs = 30_000

interface ExpectedFacts extends Pick<DayFacts, 'whole' | 'stretches' | 'gaps'> {
  /** When the first begins that is known of the camera. */
  firstMs: number
  /** Of a camera that is recorded no more, when its last footage ends; later than that nothing is missing. */
  overMs: number | undefined
}

/** Pure: of which part of a day there should be footage by now. */
export function expectedOf(
  { whole, firstMs, overMs = Infinity, stretches, gaps }: ExpectedFacts,
  nowMs: number,
): Span {
  const isDown = gaps.some(({ toMs }) => toMs >= nowMs)
  const writtenMs = Math.max(nowMs - unwrittenMs, ...stretches.map(({ toMs }) => toMs))
  const dueMs = isDown ? nowMs : Math.min(nowMs, writtenMs)
  return { fromMs: Math.max(whole.fromMs, firstMs), toMs: Math.min(whole.toMs, dueMs, overMs) }
}

/** Pure: what the files, the gaps and the clock say of one camera's day. */
export function dayCoverage(facts: DayFacts): DayCoverage {
  const { camera, day, whole, expected, stretches, passedOver } = facts
  const due = without(within([expected], whole), passedOver)
  const recorded = joined(stretches, seamMs)
  const noted = facts.gaps.flatMap((gap) =>
    due.flatMap((part) => within([gap], part)).map((span) => ({ ...span, reason: gap.reason })),
  )
  const around = noted.map(({ fromMs, toMs }) => ({
    fromMs: fromMs - looseMs,
    toMs: toMs + looseMs,
  }))
  const holes = without(due, recorded)
  const unexplained = without(holes, around).filter(({ fromMs, toMs }) => toMs - fromMs > seamMs)
  const missing: Missing[] = [...noted, ...unexplained].sort((a, b) => a.fromMs - b.fromMs)
  const expectedMs = lengthMs(due)
  const stored = joined(
    stretches.filter((stretch) => stretch.stored),
    seamMs,
  )
  return {
    ...{ camera, day, missing },
    percent: expectedMs === 0 ? undefined : 100 * (1 - lengthMs(missing) / expectedMs),
    parts: partsOf(whole).map((part) => partState(part, { expected: due, stored, missing })),
  }
}

function partsOf({ fromMs, toMs }: Span): Span[] {
  const step = (toMs - fromMs) / partsOfDay
  return Array.from({ length: partsOfDay }, (_, index) => ({
    fromMs: fromMs + index * step,
    toMs: fromMs + (index + 1) * step,
  }))
}

function partState(
  part: Span,
  { expected, stored, missing }: { expected: Span[]; stored: Span[]; missing: Span[] },
): PartState {
  const due = within(expected, part)
  const dueMs = lengthMs(due)
  if (dueMs === 0) return 'none'
  const missingMs = lengthMs(within(missing, part))
  if (missingMs > 0) return missingMs >= dueMs - seamMs ? 'missing' : 'partly'
  return lengthMs(without(due, [...stored, ...missing])) <= seamMs ? 'stored' : 'waiting'
}

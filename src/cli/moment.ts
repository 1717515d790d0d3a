import { localTime } from '../daemon/local-time.ts'
import type { Span } from './spans.ts'

const pattern =
  /^(?:(\d{4}-\d\d-\d\d)(?:[T ]+|$))?(?:(\d\d?):(\d\d)(?::(\d\d))?)?\s*(Z|[+-]\d\d:?\d\d)?$/

/** What a text says of a moment; an empty offset is local time. */
interface Written {
  date: string | undefined
  time: string
  offset: string
}

/**
 * The time that two texts mean, or the moment that one does: `2025-01-25 15:30`, `15:30:45`, with an
 * offset or in local time; without a date it is of today, or of the beginning's day, or of the next
 * where it would be earlier. A text says what is wrong.
 */
export function readSpan(at: string, until: string | undefined, nowMs: number): Span | string {
  const begin = read(at)
  const fromMs = begin && momentOf(begin, begin.date ?? localTime(nowMs).date)
  if (!begin || fromMs === undefined) return notMoment('--at', at)
  if (until === undefined) return { fromMs, toMs: fromMs }
  const end = read(until)
  const beginDate = begin.date ?? localTime(fromMs).date
  if (!end) return notMoment('--until', until)
  const zoned = end.offset === '' && end.date === undefined ? { ...end, offset: begin.offset } : end
  let toMs = momentOf(zoned, end.date ?? beginDate)
  if (toMs !== undefined && toMs < fromMs && end.date === undefined)
    toMs = momentOf(zoned, dayAfter(beginDate))
  if (toMs === undefined) return notMoment('--until', until)
  return toMs < fromMs ? `--until ${until} is before --at ${at}` : { fromMs, toMs }
}

/** The day after `2025-01-25`, whatever clocks are set in it. */
export function dayAfter(day: string, days = 1): string {
  const noon = new Date(`${day}T12:00:00Z`)
  noon.setUTCDate(noon.getUTCDate() + days)
  return noon.toISOString().slice(0, 10)
}

/** From its beginning to its end; it has 23 or 25 hours where summer time begins or ends. */
export function daySpan(day: string): Span {
  return { fromMs: Date.parse(`${day}T00:00:00`), toMs: Date.parse(`${dayAfter(day)}T00:00:00`) }
}

/** Whether there is such a day: `2025-02-31` is none. */
export function isDay(text: string): boolean {
  return (
    /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && dayAfter(text, 0) === text
  )
}

function read(text: string): Written | undefined {
  const [, date, hours, minutes = '00', seconds = '00', offset = ''] =
    pattern.exec(text.trim()) ?? []
  if ((date === undefined && hours === undefined) || (date !== undefined && !isDay(date)))
    return undefined
  const time = `${(hours ?? '0').padStart(2, '0')}:${minutes}:${seconds}`
  return { date, time, offset: offset.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2') }
}

function momentOf({ time, offset }: Written, date: string): number | undefined {
  const at = Date.parse(`${date}T${time}${offset}`)
  return Number.isNaN(at) ? undefined : at
}

function notMoment(option: string, text: string): string {
  return `${option} "${text}" is no time; write it like "2025-01-25 15:30", 15:30:45 or "2025-01-25 15:30 +02:00"`
}

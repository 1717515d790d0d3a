import { localTime } from '../daemon/local-time.ts'
import { localInstants } from '../segments/segment-name.ts'
import type { Span } from './spans.ts'

const pattern =
  /^(?:(\d{4}-\d\d-\d\d)(?:[T ]+|$))?(?:(\d\d?):(\d\d)(?::(\d\d)(\.\d+)?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/

/** What a text says of a moment; an empty offset is local time. */
interface Written {
  date: string | undefined
  time: string
  /** Of the second. */
  fractionMs: number
  offset: string
}

/**
 * The time that two texts mean, or the moment that one does: `2025-01-25 15:30`, `15:30:45`, with an
 * offset or in local time. Without a date it is of today; an end is the first such time that is not
 * before the beginning. A text says what is wrong.
 */
export function readSpan(at: string, until: string | undefined, nowMs: number): Span | string {
  const begin = read(at)
  if (!begin) return notMoment('--at', at)
  const date = begin.date ?? localTime(nowMs).date
  const [fromMs] = instantsOf(begin, date)
  if (fromMs === undefined) return skipped('--at', at)
  if (until === undefined) return { fromMs, toMs: fromMs }
  const end = read(until)
  if (!end) return notMoment('--until', until)
  const dates = end.date === undefined ? [-1, 0, 1].map((days) => dayAfter(date, days)) : [end.date]
  const written = end.date === undefined ? inheriting(end, begin, fromMs) : end
  for (const day of dates) {
    const instants = instantsOf(written, day)
    const toMs = instants.find((ms) => ms >= fromMs)
    if (toMs !== undefined) return { fromMs, toMs }
    const isSkipped = instants.length === 0 && Date.parse(`${day}T${end.time}`) >= fromMs
    if (isSkipped) return skipped('--until', until)
  }
  return `--until ${until} is before --at ${at}`
}

/** An end without an offset has that of the beginning, unless this is local time. */
function inheriting(end: Written, begin: Written, fromMs: number): Written {
  const { date, time } = localTime(fromMs)
  const isLocal = begin.time === time && (begin.date ?? date) === date
  return end.offset === '' && !isLocal ? { ...end, offset: begin.offset } : end
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
  const [, date, hours, minutes = '00', seconds = '00', fraction = '', offset = ''] =
    pattern.exec(text.trim()) ?? []
  if ((date === undefined && hours === undefined) || (date !== undefined && !isDay(date)))
    return undefined
  const time = `${(hours ?? '0').padStart(2, '0')}:${minutes}:${seconds}`
  const zone = offset.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2')
  const isTime = !Number.isNaN(Date.parse(`2000-01-01T${time}${zone || 'Z'}`))
  const fractionMs = Number(fraction.slice(1, 4).padEnd(3, '0'))
  return isTime ? { date, time, fractionMs, offset: zone } : undefined
}

/** Once, but in local time twice in the hour that a DST change repeats, and never in the one it skips. */
function instantsOf({ time, fractionMs, offset }: Written, date: string): number[] {
  const at = Date.parse(`${date}T${time}${offset}`)
  if (offset !== '') return [at + fractionMs]
  const shown = localTime(at)
  const local = localInstants(shown.date.replaceAll('-', ''), shown.time.replaceAll(':', ''))
  // Where summer time begins at midnight, the day begins an hour later.
  const isShown = shown.time === time || /^(00|24):00:00$/.test(time)
  return isShown ? local.map((ms) => ms + fractionMs) : []
}

function skipped(option: string, text: string): string {
  return `${option} "${text}" is no time here: clocks are set forward then`
}

function notMoment(option: string, text: string): string {
  return `${option} "${text}" is no time; write it like "2025-01-25 15:30", 15:30:45 or "2025-01-25 15:30 +02:00"`
}

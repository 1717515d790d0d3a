/** A moment as the operator's own calendar and clock show it. */
export interface LocalTime {
  /** `2025-01-25` */
  date: string
  /** `15:30:45` */
  time: string
  /** `.123` */
  fraction: string
  /** `+01:00` */
  offset: string
}

/** The local time of an epoch in ms, in the zone of TZ. */
export function localTime(epochMs: number): LocalTime {
  const at = new Date(epochMs)
  const offsetMinutes = -at.getTimezoneOffset()
  const size = Math.abs(offsetMinutes)
  return {
    date: `${pad(at.getFullYear(), 4)}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`,
    time: `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`,
    fraction: `.${pad(at.getMilliseconds(), 3)}`,
    offset: `${offsetMinutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}:${pad(size % 60)}`,
  }
}

/** ISO 8601 with the local offset: `2025-01-25T15:30:45.123+01:00`. */
export function isoLocal(epochMs: number): string {
  const { date, time, fraction, offset } = localTime(epochMs)
  return `${date}T${time}${fraction}${offset}`
}

function pad(value: number, width = 2): string {
  return String(value).padStart(width, '0')
}

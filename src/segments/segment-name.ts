import { localTime } from '../daemon/local-time.ts'

/** What the name of a segment says: `<Camera>_<YYYYMMDD>_<HHMMSS>[_<n>]….mp4`, in local time. */
export interface SegmentName {
  camera: string
  /** `20250125` */
  date: string
  /** `153045` */
  time: string
}

const pattern = /^(.+)_(\d{8})_(\d{6})(?:_\d{1,5})*\.mp4$/

/** What a file's name says of its camera and start; undefined for a name that isn't ours. */
export function parseSegmentName(file: string): SegmentName | undefined {
  const [, camera, date, time] = pattern.exec(file) ?? []
  if (!camera || !date || !time || firstInstant(date, time) === undefined) return undefined
  return { camera, date, time }
}

/** The strftime pattern by which FFmpeg names the segments of a camera. */
export function segmentPattern(camera: string): string {
  return `${camera}_%Y%m%d_%H%M%S.mp4`
}

/** The name of a segment of a camera that began at a moment. */
export function segmentName(camera: string, startMs: number): string {
  const { date, time } = localTime(startMs)
  return `${camera}_${date.replaceAll('-', '')}_${time.replaceAll(':', '')}.mp4`
}

/**
 * The name that a segment has in `recordings/open/` once the recorder has seen it begin: with a
 * token of eight hexadecimal digits, so that FFmpeg, which would overwrite its own name (the
 * repeated hour of a DST change, a clock that stepped back), can't overwrite this one.
 */
export function claimedName(file: string, token: string): string {
  return file.replace(/\.mp4$/, `.${token}.mp4`)
}

/** The name that a segment in `recordings/open/` gets when it is closed. */
export function closedName(file: string): string {
  return file.replace(/(_\d{8}_\d{6})\.[0-9a-f]{8}\.mp4$/, '$1.mp4')
}

/** The same file name with `_2`, `_3`, … before its extension; `n` = 1 is the name itself. */
export function withSuffix(file: string, n: number): string {
  return n === 1 ? file : file.replace(/(\.[^.]*)?$/, `_${n}$1`)
}

/** The names that a file may have had before moves gave it the suffixes in its name; the last first. */
export function earlierNames(file: string): string[] {
  const earlier = file.replace(/_\d{1,5}(\.[^.]*)?$/, '$1')
  return earlier === file ? [] : [earlier, ...earlierNames(earlier)]
}

/**
 * CAMERA_N_NAME as file names hold it: accents folded, each run of other characters than
 * `A-Za-z0-9._-` one `_`, leading dots and underscores dropped; `fallback` if nothing is left.
 */
export function safeCameraName(name: string, fallback: string): string {
  const folded = name.normalize('NFKD').replaceAll(/\p{Mn}/gu, '')
  const safe = folded.replaceAll(/[^A-Za-z0-9._-]+/g, '_').replace(/^[._]+/, '')
  return safe || fallback
}

/**
 * When a segment began, in epoch ms. In the repeated hour of a DST change the name fits two
 * instants; the one nearer to `hintMs` (its mtime less its duration) is meant.
 */
export function segmentStartMs({ date, time }: SegmentName, hintMs: number): number {
  const first = firstInstant(date, time)
  if (first === undefined) throw new Error(`no such local time: ${date}_${time}`)
  return localInstants(date, time).reduce(
    (best, at) => (Math.abs(at - hintMs) < Math.abs(best - hintMs) ? at : best),
    first,
  )
}

/**
 * When local clocks show a time (`20250125`, `153045`), in epoch ms: never in the hour that a DST
 * change skips, twice in the one that it repeats.
 */
export function localInstants(date: string, time: string): number[] {
  const first = firstInstant(date, time)
  if (first === undefined) return []
  return zoneShiftsMs.map((shift) => first + shift).filter((at) => isAt(at, date, time))
}

/** Zones shift by an hour, Lord Howe Island by half of one, Troll by two. */
const zoneShiftsMs = [-120, -60, -30, 0, 30, 60, 120].map((minutes) => minutes * 60_000)

function firstInstant(date: string, time: string): number | undefined {
  const number = (text: string, from: number, to: number): number => Number(text.slice(from, to))
  const at = new Date(
    number(date, 0, 4),
    number(date, 4, 6) - 1,
    number(date, 6, 8),
    number(time, 0, 2),
    number(time, 2, 4),
    number(time, 4, 6),
  )
  // A time that a DST change skips is moved by an hour, which is as near as it gets; a date that
  // never was (month 13) is not a date.
  const sameDay = at.getMonth() === number(date, 4, 6) - 1 && at.getDate() === number(date, 6, 8)
  const realTime = number(time, 0, 2) < 24 && number(time, 2, 4) < 60 && number(time, 4, 6) < 61
  return sameDay && realTime ? at.getTime() : undefined
}

function isAt(epochMs: number, date: string, time: string): boolean {
  const at = new Date(epochMs)
  const digits = (value: number): string => String(value).padStart(2, '0')
  return (
    `${at.getFullYear()}${digits(at.getMonth() + 1)}${digits(at.getDate())}` === date &&
    `${digits(at.getHours())}${digits(at.getMinutes())}${digits(at.getSeconds())}` === time
  )
}

import { localTime } from '../daemon/local-time.ts'
import { partsOfDay, type DayCoverage, type Missing, type PartState } from './day-coverage.ts'
import { count, durationText } from '../daemon/units.ts'
import { daySpan } from './moment.ts'
import type { Difference, Verified } from './verify-stored.ts'

const marks: Record<PartState, string> = {
  none: ' ',
  stored: '█',
  waiting: '▒',
  partly: '!',
  missing: '·',
}
const legend = '█ in S3   ▒ recorded, waiting   ! partly missing   · missing'

/** What coverage.sh prints: each day's bars, and below each bar what is missing. */
export function coverageText(days: DayCoverage[]): string {
  if (days.length === 0) return 'Nothing was recorded here, and nothing was to be expected.\n'
  const width = Math.max(8, ...days.map(({ camera }) => camera.length))
  const lines: string[] = []
  let last = ''
  for (const coverage of days) {
    const { day, camera, percent, parts, missing } = coverage
    if (day !== last) lines.push(...(last === '' ? [] : ['']), hoursLine(day, width))
    last = day
    const bar = parts.map((part) => marks[part]).join('')
    lines.push(`${camera.padEnd(width)}  ${percentText(percent).padStart(6)}  |${bar}|`)
    lines.push(...missing.map((span) => `${' '.repeat(width + 10)} ${missingText(span)}`))
  }
  return `${[...lines, '', legend].join('\n')}\n`
}

/** What `--verify` adds. */
export function verifiedText({ files, differences, unseen }: Verified): string {
  const lines = unseen.map((it) => `✗ ${count(it.files, 'file')} could not be looked at: ${it.why}`)
  if (files > 0 || lines.length === 0) lines.unshift(...comparedLines(files, differences))
  return `\n${lines.join('\n')}\n`
}

function comparedLines(checked: number, differences: Difference[]): string[] {
  const files = count(checked, 'file')
  if (differences.length === 0) return [`S3 holds ${files} of this as uploaded; none is missing.`]
  const are = differences.length === 1 ? 'is' : 'are'
  const lines = differences.map(({ line, text }) => `  ${line.bucket}/${line.key} ${text}`)
  return [`Of ${files} in S3 ${differences.length} ${are} not as uploaded:`, ...lines]
}

/** `100%` only where nothing is missing. */
export function percentText(percent: number | undefined): string {
  if (percent === undefined) return '–'
  return percent >= 100 ? '100%' : `${(Math.floor(percent * 10) / 10).toFixed(1)}%`
}

/** `03:12:10 – 03:30:02  18 min  camera silent` */
function missingText({ fromMs, toMs, reason }: Missing): string {
  const moment = (ms: number): string => localTime(ms).time
  const length = durationText(toMs - fromMs)
  return `${moment(fromMs)} – ${moment(toMs)}  ${length.padStart(9)}  ${reason ?? 'unexplained'}`
}

/** The hours of the day above its bars; not at equal distances where summer time begins or ends. */
function hoursLine(day: string, width: number): string {
  const { fromMs, toMs } = daySpan(day)
  let hours = ''
  for (let hour = 0; hour < 24; hour += 3) {
    const atMs = Date.parse(`${day}T${String(hour).padStart(2, '0')}:00:00`)
    const column = Math.round(((atMs - fromMs) / (toMs - fromMs)) * partsOfDay)
    hours = hours.padEnd(column) + String(hour)
  }
  return `${day.padEnd(width + 11)}${hours.padEnd(partsOfDay)}24`
}

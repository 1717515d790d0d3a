import type { Gap } from '../segments/gaps.ts'
import { localTime } from '../daemon/local-time.ts'
import type { Found } from './find-footage.ts'
import type { Span } from './spans.ts'
import { durationText } from '../daemon/units.ts'

/** A found file, and how to play it from S3 where it is there. */
export interface Shown extends Found {
  url?: string
}

/** What find.sh prints of one file. */
export function foundText({ stretch, offsetSeconds, untilSeconds, url }: Shown): string {
  const { camera, file, path, stored, fromMs, toMs } = stretch
  const isWhole = offsetSeconds === 0 && untilSeconds >= (toMs - fromMs) / 1000
  const until = untilSeconds > offsetSeconds ? ` to ${playTime(untilSeconds)}` : ''
  const where = isWhole ? 'all of it' : `from ${playTime(offsetSeconds)}${until}`
  const lines = [`${camera}  ${file}, ${where} (it lasts ${playTime((toMs - fromMs) / 1000)})`]
  if (path !== undefined) lines.push(`  on disk  ${path}`)
  if (stored) lines.push(`  in S3    s3://${stored.bucket}/${stored.key}`)
  if (url !== undefined) lines.push(`  play     ${url}`)
  return `${lines.join('\n')}\n`
}

/** Why a camera shows nothing of a time, as far as that is known. */
export function nothingText(
  { camera, asked }: { camera: string; asked: Span },
  gaps: Gap[],
  nowMs: number,
): string {
  const at = momentOf(asked.fromMs)
  const when = asked.toMs > asked.fromMs ? `from ${at} to ${momentOf(asked.toMs)}` : `at ${at}`
  if (asked.fromMs > nowMs) return `${camera}  nothing ${when}: that is still to come\n`
  const overlap = ({ fromMs, toMs }: Span): number =>
    Math.min(toMs, asked.toMs) - Math.max(fromMs, asked.fromMs)
  const [gap] = gaps.filter((it) => overlap(it) >= 0).sort((a, b) => overlap(b) - overlap(a))
  if (!gap) return `${camera}  nothing is known of any footage ${when}\n`
  const length = durationText(gap.toMs - gap.fromMs)
  const span = `${momentOf(gap.fromMs)} – ${localTime(gap.toMs).time}`
  return `${camera}  nothing ${when}: ${gap.reason} (${span}, ${length})\n`
}

function momentOf(ms: number): string {
  const { date, time } = localTime(ms)
  return `${date} ${time}`
}

/** `3:07`, `1:02:03`, as a player shows it. */
function playTime(seconds: number): string {
  const whole = Math.floor(seconds)
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const tail = String(rest).padStart(2, '0')
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`
}

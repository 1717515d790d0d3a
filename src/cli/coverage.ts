// coverage.sh: what of each camera's days is recorded, and what of that is in S3. Exit code 1 where
// something is missing.
import { systemClock } from '../daemon/clock.ts'
import { applyEnvironment, describeFault, readEnvironment } from '../daemon/environment.ts'
import { localTime } from '../daemon/local-time.ts'
import { parseSegmentName } from '../segments/segment-name.ts'
import { readUploaderConfig } from '../uploader/config.ts'
import type { LedgerLine } from '../uploader/ledger.ts'
import { readArguments, refuse } from './arguments.ts'
import { cameraFileName, nobodyKnown } from './camera-name.ts'
import { coverageText, verifiedText } from './coverage-text.ts'
import { dayCoverage, expectedOf, type DayCoverage, type Missing } from './day-coverage.ts'
import { failureText } from './failure-text.ts'
import { footageOf, type KnownFootage } from './known-footage.ts'
import type { Stretch } from './stretches.ts'
import { dayAfter, daySpan, isDay } from './moment.ts'
import type { Span } from './spans.ts'
import { StoredFootage } from './stored-footage.ts'
import { verifyStored, type Verified } from './verify-stored.ts'

const usage =
  'usage: coverage.sh [--day 2025-01-25] [--days 7] [--camera Front] [--verify] [--json]'

const environment = readEnvironment()
applyEnvironment(environment)
const nowMs = systemClock.now()
const { values } = readArguments(
  {
    options: {
      day: { type: 'string' },
      days: { type: 'string', default: '1' },
      camera: { type: 'string' },
      verify: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  },
  usage,
)
const lastDay = values.day ?? localTime(nowMs).date
const wanted = Number(values.days)
const cameraName =
  values.camera === undefined ? undefined : cameraFileName(values.camera, environment)
if (!isDay(lastDay) || !Number.isInteger(wanted) || wanted < 1 || wanted > 366) refuse(usage)

const aborting = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => aborting.abort())
try {
  process.exitCode = await tell(aborting.signal)
} catch (error) {
  process.stderr.write(`✗ ${aborting.signal.aborted ? 'stopped' : failureText(error)}\n`)
  process.exitCode = 1
}

/** Answers the exit code. */
async function tell(signal: AbortSignal): Promise<number> {
  const footage = footageOf(environment, nowMs)
  const days = await daysOf(footage)
  const coverages = await coverageOf(footage, days)
  if (!values.json) process.stdout.write(coverageText(coverages))
  const lines = [...new Set(days.flatMap(({ stretches }) => stretches.flatMap(storedOf)))]
  const verified = values.verify ? await verify(lines, signal) : undefined
  if (values.json)
    process.stdout.write(`${JSON.stringify(asJson(coverages, verified), undefined, 2)}\n`)
  else if (verified) process.stdout.write(verifiedText(verified))
  const isWhole = coverages.length > 0 && coverages.every(({ missing }) => missing.length === 0)
  const isProven = !verified || verified.differences.length + verified.unseen.length === 0
  return isWhole && isProven ? 0 : 1
}

interface Day {
  day: string
  whole: Span
  /** Of the cameras that are asked for. */
  stretches: Stretch[]
}

async function daysOf(footage: KnownFootage): Promise<Day[]> {
  const names = Array.from({ length: wanted }, (_, index) => dayAfter(lastDay, index + 1 - wanted))
  return Promise.all(
    names.map(async (day) => {
      const whole = daySpan(day)
      const all = await footage.stretches(whole)
      return { day, whole, stretches: all.filter(({ camera }) => isWanted(camera)) }
    }),
  )
}

async function coverageOf(footage: KnownFootage, days: Day[]): Promise<DayCoverage[]> {
  const touched = days.flatMap(({ stretches }) => stretches)
  const recent = [
    ...(await footage.cameras()),
    // What is no segment is of no camera.
    ...touched.filter(({ file }) => parseSegmentName(file)).map(({ camera }) => camera),
  ]
  const known = recent.some(isWanted) ? recent : await footage.cameras(true)
  const names = [...new Set(known)].filter(isWanted).sort()
  if (cameraName !== undefined && names.length === 0)
    throw new Error(nobodyKnown(values.camera, known))
  const asked = {
    fromMs: daySpan(dayAfter(lastDay, 1 - wanted)).fromMs,
    toMs: daySpan(lastDay).toMs,
  }
  const first = await footage.firstOf(names, asked.toMs)
  const current = await footage.currentCameras()
  const former = current ? names.filter((name) => !current.includes(name)) : []
  const last = await footage.lastOf(former, asked)
  const gaps = await footage.gaps()
  const passedOver = await footage.passedOver()
  return days.flatMap(({ day, whole, stretches }) =>
    names.flatMap((name) => {
      const ofCamera = <T extends { camera: string }>(list: T[]): T[] =>
        list.filter((it) => it.camera === name)
      const here = {
        ...{ stretches: ofCamera(stretches), gaps: ofCamera(gaps) },
        passedOver: ofCamera(passedOver),
      }
      const firstMs = first.get(name) ?? Infinity
      const overMs = former.includes(name) ? (last.get(name) ?? 0) : undefined
      if (overMs !== undefined && overMs <= whole.fromMs) return []
      const expected = expectedOf({ whole, firstMs, overMs, ...here }, nowMs)
      return [dayCoverage({ camera: name, day, whole, expected, ...here })]
    }),
  )
}

function isWanted(camera: string): boolean {
  return cameraName === undefined || camera === cameraName
}

function storedOf({ stored }: Stretch): LedgerLine[] {
  return stored ? [stored] : []
}

async function verify(lines: LedgerLine[], signal: AbortSignal): Promise<Verified> {
  const checked = readUploaderConfig(environment)
  if ('faults' in checked)
    throw new Error(`S3 cannot be asked: ${checked.faults.map(describeFault).join('; ')}`)
  return verifyStored(lines, new StoredFootage(checked.config.store), signal)
}

function asJson(coverages: DayCoverage[], verified: Verified | undefined): object {
  const days = coverages.map(({ missing, ...rest }) => ({
    ...rest,
    missing: missing.map(spanJson),
  }))
  if (!verified) return { days }
  const { files: checked, differences, unseen } = verified
  const stored = {
    ...{ checked, notChecked: unseen },
    differences: differences.map(({ line: { bucket, key }, text }) => ({ bucket, key, text })),
  }
  return { days, stored }
}

function spanJson({ fromMs, toMs, reason }: Missing): object {
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    seconds: Math.round((toMs - fromMs) / 100) / 10,
    reason: reason ?? null,
  }
}

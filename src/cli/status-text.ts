import { parseSegmentName } from '../segments/segment-name.ts'
import type { CameraStatus } from '../recorder/camera-recorder.ts'
import type { UploaderStatus } from '../uploader/upload-status.ts'
import { faultText } from '../recorder/recording-faults.ts'
import type { DaemonReport, InstallationReport, RecorderStatus } from './installation-report.ts'
import { cameraState, type Judgement, type Verdict } from './judgement.ts'
import {
  bytesText,
  count,
  cut,
  durationText,
  momentText,
  sinceText,
  wrap,
} from '../daemon/units.ts'

/** How a word is painted on a terminal. */
export type Paint = (text: string, as: 'good' | 'bad' | 'poor' | 'faint') => string

/** For pipes and files. */
export const plain: Paint = (text) => text

/** No line is wider. */
export const width = 80
const hourMs = 3_600_000
const barWidth = 20
const leastRate = 50_000
const longestName = 14

const paints: Record<Verdict, Parameters<Paint>[1]> = { ok: 'good', degraded: 'poor', down: 'bad' }

/** What status.sh prints: one line that says it all, then the details. */
export function statusText(
  report: InstallationReport,
  judgement: Judgement,
  { nowMs, paint = plain }: { nowMs: number; paint?: Paint },
): string {
  const sections = [
    cameraTable(report.recorder, { nowMs, paint }),
    uploaderSection(report.uploader, nowMs),
    diskSection(report),
    daemonsSection(report, nowMs),
  ].filter((section) => section.length > 0)
  const lines = [
    ...headline(report, judgement, paint),
    ...sections.flatMap((section) => ['', ...section]),
  ]
  return `${lines.join('\n')}\n`
}

function headline(
  report: InstallationReport,
  { verdict, problems }: Judgement,
  paint: Paint,
): string[] {
  const [first, ...others] = problems
  const lines =
    verdict === 'ok'
      ? [`OK: ${wellText(report)}`]
      : [`${verdict.toUpperCase()}: ${first}`, ...others.map((problem) => `  also: ${problem}`)]
  const [top = '', ...rest] = lines.flatMap((line) => wrap(line, width, 4))
  return [top.replace(/^[A-Z]+/, (word) => paint(word, paints[verdict])), ...rest]
}

function wellText({ recorder, uploader }: InstallationReport): string {
  const cameras = recorder.status?.cameras ?? []
  const recording = cameras.filter(({ state }) => state === 'recording').length
  const starting = cameras.length - recording
  const waiting = uploader.status?.waiting ?? 0
  return [
    `${count(recording, 'camera')} recording`,
    ...(starting > 0 ? [`${starting} starting`] : []),
    waiting === 0 ? 'everything finished is in S3' : `${count(waiting, 'file')} on the way to S3`,
  ].join(', ')
}

/** A line for each camera; below it what is wrong, and what the last restart was for. */
function cameraTable(
  { pid, status }: DaemonReport<RecorderStatus>,
  { nowMs, paint }: { nowMs: number; paint: Paint },
): string[] {
  const cameras = pid === undefined ? [] : (status?.cameras ?? [])
  if (cameras.length === 0) return []
  const names = cameras.map(({ name }) => name.length)
  const column = Math.min(longestName, Math.max('Cameras'.length, ...names))
  const cells = (texts: [string, string, string, string, string, string, string]): string => {
    const [name, state, since, rate, fps, segment, restarts] = texts
    const left = `${name.padEnd(column)}  ${state} ${since.padStart(11)}`
    return `${left}  ${rate.padStart(6)} ${fps.padStart(4)}  ${segment.padStart(17)}  ${restarts.padStart(8)}`
  }
  const head = cells(['Cameras', 'state'.padEnd(10), 'for', 'Mbit/s', 'fps', 'segment', 'restarts'])
  const rows = cameras.flatMap((camera) => {
    const { name, since, bitsPerSecond, fps, restartsToday } = camera
    const state = cameraState(camera, nowMs)
    const shown = (state === 'starting' ? 'connecting' : state).padEnd(10)
    const paintedState = paint(shown, state === 'recording' ? 'good' : 'bad')
    const row = cells([
      ...([cut(name, column), paintedState, durationText(nowMs - Date.parse(since))] as const),
      bitsPerSecond === undefined ? '–' : (bitsPerSecond / 1e6).toFixed(1),
      ...([fps === undefined ? '–' : String(Math.round(fps)), segmentText(camera)] as const),
      String(restartsToday?.count ?? 0),
    ])
    return [row, ...belowCamera(camera, nowMs)]
  })
  return [paint(head, 'faint'), ...rows]
}

/** When the file that is written was begun, and how large it is: `15:30:00 12.3 MB`. */
function segmentText({ file, bytes = 0 }: CameraStatus): string {
  const { time } = (file !== undefined && parseSegmentName(file)) || { time: undefined }
  if (time === undefined) return '–'
  return `${time.replace(/(..)(..)(..)/, '$1:$2:$3')} ${bytesText(bytes).padStart(8)}`
}

function belowCamera(camera: CameraStatus, nowMs: number): string[] {
  const { problem, lastEnd, restartsToday, faults = [] } = camera
  const lines = [...(problem === undefined ? [] : [problem]), ...faults.map(faultText)]
  if (lastEnd && restartsToday && restartsToday.count > 0 && lastEnd.reason !== problem)
    lines.push(`last restart after ${momentText(lastEnd.at, nowMs)}: ${lastEnd.reason}`)
  return lines.flatMap((line) => wrap(`  ${line}`, width, 2))
}

function uploaderSection(report: DaemonReport<UploaderStatus>, nowMs: number): string[] {
  const { pid, status } = report
  if (pid === undefined || !status) return []
  const { store, inFlight = [], failed = [], lastUpload, uploadedToday, bytesPerSecond } = status
  const rows: [string, string][] = []
  if (store) rows.push(['S3', storeText(store, nowMs)])
  rows.push(['waiting', waitingText(status, nowMs)])
  for (const it of inFlight) rows.push(['in flight', flightText(it)])
  for (const { file, problem, nextTryAt } of failed)
    rows.push(['failed', `${file}: ${problem}${nextText(nextTryAt, nowMs)}`])
  if (uploadedToday) {
    const { count: files, bytes } = uploadedToday
    const isMoving = bytesPerSecond !== undefined && bytesPerSecond >= leastRate
    const rate = isMoving ? `; ${(bytesPerSecond / 1e6).toFixed(1)} MB/s now` : ''
    rows.push(['today', `${count(files, 'file')}, ${bytesText(bytes)}${rate}`])
  }
  rows.push(['last', lastUpload ? lastText(lastUpload, nowMs) : 'nothing uploaded yet'])
  return rows.flatMap(([name, text]) => wrap(`${name.padEnd(10)} ${text}`, width, 11))
}

function flightText({ file, bytes, sentBytes }: UploaderStatus['inFlight'][number]): string {
  const share = bytes > 0 ? Math.min(1, sentBytes / bytes) : 0
  const done = Math.round(share * barWidth)
  const bar = '#'.repeat(done).padEnd(barWidth, '.')
  return `[${bar}] ${String(Math.round(share * 100)).padStart(3)}% of ${bytesText(bytes)}  ${file}`
}

function storeText(store: UploaderStatus['store'], nowMs: number): string {
  const { state, since, problem, nextTryAt } = store
  if (state === 'unknown') return 'has not answered yet'
  const why = problem === undefined ? '' : `: ${problem}`
  return `${state} since ${sinceText(since, nowMs)}${why}${nextText(nextTryAt, nowMs)}`
}

function nextText(nextTryAt: string | undefined, nowMs: number): string {
  const isToCome = nextTryAt !== undefined && Date.parse(nextTryAt) >= nowMs
  return isToCome ? `; next try ${momentText(nextTryAt, nowMs)}` : ''
}

function waitingText(status: Partial<UploaderStatus>, nowMs: number): string {
  const { waiting = 0, waitingBytes = 0, oldestWaiting } = status
  if (waiting === 0) return 'nothing'
  const oldest =
    oldestWaiting === undefined ? '' : `, oldest from ${sinceText(oldestWaiting, nowMs)}`
  return `${count(waiting, 'file')}, ${bytesText(waitingBytes)}${oldest}`
}

function lastText(last: NonNullable<UploaderStatus['lastUpload']>, nowMs: number): string {
  const { key, at, seconds, bytes } = last
  return `${momentText(at, nowMs)}: ${key} (${bytesText(bytes)} in ${seconds.toFixed(1)} s)`
}

function diskSection({ freeBytes, uploader, base }: InstallationReport): string[] {
  const free = freeBytes === undefined ? 'cannot be read' : `${bytesText(freeBytes)} free`
  const { quarantine = 0, fullInHours } = uploader.status ?? {}
  const forecast =
    fullInHours === undefined ? '' : `; full in ${durationText(fullInHours * hourMs)} at this rate`
  const bad = quarantine > 0 ? `; ${count(quarantine, 'file')} in quarantine` : ''
  return wrap(`${'disk'.padEnd(10)} ${free} at ${base}${forecast}${bad}`, width, 11)
}

function daemonsSection({ recorder, uploader }: InstallationReport, nowMs: number): string[] {
  return [
    ...wrap(daemonText('recorder', recorder, nowMs), width, 11),
    ...wrap(daemonText('uploader', uploader, nowMs), width, 11),
  ]
}

function daemonText(title: string, report: DaemonReport<unknown>, nowMs: number): string {
  const { pid, keepAlivePid, status } = report
  const kept = keepAlivePid === undefined ? 'not kept alive' : `kept alive by ${keepAlivePid}`
  if (pid === undefined) return `${title.padEnd(10)} not running; ${kept}`
  const own = status?.pid === pid ? status : undefined
  const facts = [
    `PID ${pid}`,
    ...(own ? [`up ${durationText(nowMs - Date.parse(own.startedAt))}`] : []),
    ...(own?.cpuPercent === undefined ? [] : [`${own.cpuPercent}% CPU`]),
    ...(own?.rssBytes === undefined ? [] : [bytesText(own.rssBytes)]),
  ]
  return `${title.padEnd(10)} ${facts.join(', ')}; ${kept}`
}

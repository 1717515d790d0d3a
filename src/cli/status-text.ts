import type { CameraStatus } from '../recorder/camera-recorder.ts'
import type { UploaderStatus } from '../uploader/upload-status.ts'
import type { DaemonReport, InstallationReport, RecorderStatus } from './installation-report.ts'
import type { Judgement } from './judgement.ts'
import { streamText } from './started-text.ts'
import { bytesText, count, durationText, momentText, sinceText, wrap } from './units.ts'

const width = 98
const hourMs = 3_600_000

/** What status.sh prints: one line that says it all, then the details. */
export function statusText(
  report: InstallationReport,
  judgement: Judgement,
  nowMs: number,
): string {
  const sections = [
    recorderSection(report.recorder, nowMs),
    uploaderSection(report.uploader, nowMs),
    diskSection(report),
  ]
  const names = sections.flatMap(({ rows }) => rows.map(([name]) => name.length))
  const column = 2 + Math.max(10, ...names)
  const lines = [
    ...headline(report, judgement).flatMap((line) => wrap(line, width, 4)),
    ...sections.flatMap(({ title, rows }) => [
      '',
      ...[title, ...rows.map(([name, text]): Row => [`  ${name}`, text])].flatMap(([name, text]) =>
        wrap(`${name.padEnd(column)} ${text}`, width, column + 1),
      ),
    ]),
  ]
  return `${lines.join('\n')}\n`
}

type Row = [name: string, text: string]

interface Section {
  title: Row
  rows: Row[]
}

function headline(report: InstallationReport, { verdict, problems }: Judgement): string[] {
  if (verdict === 'ok') return [`OK: ${wellText(report)}`]
  const [first, ...others] = problems
  return [`${verdict.toUpperCase()}: ${first}`, ...others.map((problem) => `  also: ${problem}`)]
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

function daemonRow(title: string, report: DaemonReport<unknown>, nowMs: number): Row {
  const { pid, keepAlivePid, status } = report
  const up =
    status && status.pid === pid ? `, up ${durationText(nowMs - Date.parse(status.startedAt))}` : ''
  const kept = keepAlivePid === undefined ? 'not kept alive' : `kept alive by PID ${keepAlivePid}`
  return [title, `${pid === undefined ? 'not running' : `PID ${pid}${up}`}; ${kept}`]
}

function recorderSection(report: DaemonReport<RecorderStatus>, nowMs: number): Section {
  const cameras = report.pid === undefined ? [] : (report.status?.cameras ?? [])
  return {
    title: daemonRow('Recorder', report, nowMs),
    rows: cameras.flatMap((camera) => cameraRows(camera, nowMs)),
  }
}

function cameraRows(camera: CameraStatus, nowMs: number): Row[] {
  const { name, state, since, stream, file, bytes, growing, problem } = camera
  const rows: Row[] = [
    [name, `${state} since ${sinceText(since, nowMs)}${stream ? `; ${streamText(stream)}` : ''}`],
  ]
  if (problem !== undefined) rows.push(['', problem])
  if (file !== undefined)
    rows.push(['', `${file}, ${bytesText(bytes ?? 0)}, ${growing ? 'growing' : 'not growing'}`])
  if (camera.lastEnd) rows.push(['', restartText(camera, camera.lastEnd, nowMs)])
  return rows
}

function restartText(
  { restarts, problem }: CameraStatus,
  { at, reason }: NonNullable<CameraStatus['lastEnd']>,
  nowMs: number,
): string {
  const why = reason === problem ? '' : `: ${reason}`
  const times = restarts === 0 ? '' : `restarted ${count(restarts, 'time')}, `
  return `${times}last failure ${momentText(at, nowMs)}${why}`
}

function uploaderSection(report: DaemonReport<UploaderStatus>, nowMs: number): Section {
  const title = daemonRow('Uploader', report, nowMs)
  const { status } = report
  if (report.pid === undefined || !status) return { title, rows: [] }
  const { store, inFlight = [], failed = [], lastUpload, uploaded } = status
  const rows: Row[] = []
  if (store) rows.push(['S3', storeText(store, nowMs)])
  rows.push(['waiting', waitingText(status, nowMs)])
  for (const { file, bytes, sentBytes, since } of inFlight) {
    const sent = `${bytesText(sentBytes)} of ${bytesText(bytes)}`
    rows.push(['in flight', `${file}, ${sent}, since ${sinceText(since, nowMs)}`])
  }
  for (const { file, problem } of failed) rows.push(['failed', `${file}: ${problem}`])
  rows.push(['last', lastUpload ? lastText(lastUpload, nowMs) : 'nothing uploaded yet'])
  if (uploaded)
    rows.push(['uploaded', `${count(uploaded.count, 'file')}, ${bytesText(uploaded.bytes)}`])
  return { title, rows }
}

function storeText(store: UploaderStatus['store'], nowMs: number): string {
  const { state, since, problem, nextTryAt } = store
  if (state === 'unknown') return 'has not answered yet'
  const next = nextTryAt === undefined ? '' : `; next try ${momentText(nextTryAt, nowMs)}`
  const why = problem === undefined ? '' : `: ${problem}`
  return `${state} since ${sinceText(since, nowMs)}${why}${next}`
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

function diskSection({ freeBytes, uploader, base }: InstallationReport): Section {
  const free = freeBytes === undefined ? 'cannot be read' : `${bytesText(freeBytes)} free`
  const { quarantine, fullInHours } = uploader.status ?? {}
  const forecast =
    fullInHours === undefined ? '' : `; full in ${durationText(fullInHours * hourMs)} at this rate`
  return {
    title: ['Disk', `${free} at ${base}${forecast}`],
    rows:
      quarantine === undefined
        ? []
        : [['quarantine', quarantine === 0 ? 'empty' : count(quarantine, 'file')]],
  }
}

import type { StreamInfo } from '../recorder/stream-info.ts'
import type { DaemonReport, InstallationReport } from './installation-report.ts'
import { diskIsFull, fullDiskProblem, isAlive } from './judgement.ts'
import { wrap } from '../daemon/units.ts'

const width = 98

/** `h264 1280x720, aac` */
export function streamText({ video, width: columns, height, audio }: StreamInfo): string {
  const size = columns && height ? ` ${columns}x${height}` : ''
  return `${video}${size}, ${audio ?? 'no audio'}`
}

/** Whether every camera records or has failed once, and S3 has answered or not. */
export function isSettled({ recorder, uploader }: InstallationReport, nowMs: number): boolean {
  if (!isAlive(recorder, nowMs) || !isAlive(uploader, nowMs)) return false
  const { cameras } = recorder.status ?? {}
  return (
    cameras !== undefined &&
    cameras.every(({ state, problem }) => state === 'recording' || problem !== undefined) &&
    !['unknown', undefined].includes(uploader.status?.store?.state)
  )
}

/** The table of start.sh: what each camera sends and whether S3 answers, or what to do. */
export function startedText(report: InstallationReport, nowMs: number): string {
  const disk: Row[] = diskIsFull(report) ? [['Disk', 'FULL', fullDiskProblem(report)]] : []
  const rows = [...disk, ...cameraRows(report, nowMs), storeRow(report, nowMs)]
  const nameWidth = Math.max(...rows.map(([name]) => name.length))
  const stateWidth = Math.max(...rows.map(([, state]) => state.length))
  const indent = nameWidth + stateWidth + 4
  const lines = rows.map(([name, state, text]) =>
    `${name.padEnd(nameWidth)}  ${state.padEnd(stateWidth)}  ${text}`.trimEnd(),
  )
  return `${lines.flatMap((line) => wrap(line, width, indent)).join('\n')}\n`
}

type Row = [name: string, state: string, text: string]

function cameraRows({ recorder }: InstallationReport, nowMs: number): Row[] {
  if (!isAlive(recorder, nowMs)) return [['Recorder', 'not up', whyNotUp(recorder)]]
  return (recorder.status?.cameras ?? []).map(({ name, state, stream, problem }) => {
    if (state === 'recording') return [name, 'recording', stream ? streamText(stream) : '']
    const next = 'no answer yet; it goes on trying'
    return [name, problem === undefined ? 'starting' : 'NOT OK', problem ?? next]
  })
}

function whyNotUp({ pid }: DaemonReport<unknown>): string {
  if (pid !== undefined) return 'it runs, but has said nothing of itself yet'
  return 'it is started again and again; its log says why'
}

function storeRow({ uploader }: InstallationReport, nowMs: number): Row {
  if (!isAlive(uploader, nowMs)) return ['Uploader', 'not up', whyNotUp(uploader)]
  const { state, problem } = uploader.status?.store ?? {}
  if (state === 'ok') return ['S3', 'ok', '']
  if (state === 'failing') return ['S3', 'NOT OK', problem ?? '']
  return ['S3', 'waiting', 'no answer yet; it goes on trying']
}

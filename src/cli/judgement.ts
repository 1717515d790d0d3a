import type { CameraStatus } from '../recorder/camera-recorder.ts'
import { faultText } from '../recorder/recording-faults.ts'
import type { DaemonReport, InstallationReport } from './installation-report.ts'
import { bytesText, count, durationText, momentText } from '../daemon/units.ts'

export type Verdict = 'ok' | 'degraded' | 'down'

/** The exit code of status.sh. */
export const exitCodes: Record<Verdict, number> = { ok: 0, degraded: 1, down: 2 }

/** What is wrong, the worst first; each with what to do. Empty when all is well. */
export interface Judgement {
  verdict: Verdict
  problems: string[]
}

const daemons = ['recorder', 'uploader'] as const
/** A daemon says how it is every 2 s; one that missed five times hangs. */
export const silentAfterMs = 10_000
/** The daemons say how they are every 2 s, FFmpeg twice a second. */
const stalledAfterMs = 8000
/** A camera that has not begun to record by then has a problem. */
const startsWithinMs = 45_000
/** Where the uploader, which knows MIN_FREE_DISK_GB, can't say it. */
const leastFreeBytes = 1e9
const noFreeBytes = 1e6

/** Down is a daemon that doesn't work; degraded, anything else that needs somebody's attention. */
export function judge(report: InstallationReport, nowMs: number): Judgement {
  const nothingRuns = daemons.every(
    (name) => (report[name].pid ?? report[name].keepAlivePid) === undefined,
  )
  if (nothingRuns) return { verdict: 'down', problems: ['nothing is running: ./scripts/start.sh'] }
  const down = daemons.flatMap((name) => daemonProblems(name, report[name], nowMs))
  const full = diskIsFull(report) ? [fullDiskProblem(report)] : []
  const degraded = [
    ...cameraProblems(report, nowMs),
    ...uploadProblems(report, nowMs),
    ...almostFull(report, nowMs),
    ...movedProblems(report),
    ...daemons.flatMap((name) => keepAliveProblems(name, report[name])),
    ...daemons.flatMap((name) => report[name].status?.alertProblems ?? []),
  ]
  // A full disk is the reason of whatever else is wrong.
  const said = [...full, ...down, ...degraded]
  const problems = [...said, ...alertProblems(report, said, nowMs)]
  if (down.length > 0) return { verdict: 'down', problems }
  return { verdict: problems.length > 0 ? 'degraded' : 'ok', problems }
}

/** Whether a daemon runs and says so. */
export function isAlive(report: DaemonReport<unknown>, nowMs: number): boolean {
  const { pid, status } = report
  return pid !== undefined && status?.pid === pid && silentMs(report, nowMs) <= silentAfterMs
}

export function diskIsFull({ freeBytes }: InstallationReport): boolean {
  return freeBytes !== undefined && freeBytes < noFreeBytes
}

/** What is wrong, and what to do. */
export function fullDiskProblem({ base }: InstallationReport): string {
  return `the disk is full: nothing can be recorded at ${base} until there is room`
}

function almostFull(report: InstallationReport, nowMs: number): string[] {
  const { freeBytes, base, uploader } = report
  if (isAlive(uploader, nowMs) || diskIsFull(report)) return []
  if (freeBytes === undefined || freeBytes >= leastFreeBytes) return []
  return [`the disk is almost full: ${bytesText(freeBytes)} free at ${base}`]
}

/** The status file's own time, which is kept on a full disk, too. */
function silentMs({ seenAtMs }: DaemonReport<unknown>, nowMs: number): number {
  return seenAtMs === undefined ? Infinity : nowMs - seenAtMs
}

function daemonProblems(name: string, report: DaemonReport<unknown>, nowMs: number): string[] {
  if (isAlive(report, nowMs)) return []
  const { pid, keepAlivePid, status } = report
  if (pid === undefined) {
    const what = keepAlivePid
      ? 'it is started again and again: its log says why'
      : './scripts/start.sh'
    return [`the ${name} is not running: ${what}`]
  }
  if (status?.pid !== pid) return [`the ${name} has said nothing of itself yet`]
  const silence = durationText(silentMs(report, nowMs))
  return [`the ${name} hangs: no sign of life for ${silence} (it is replaced after 60 s)`]
}

/** The one would ship nothing of what the other records. */
function movedProblems({ recorder, uploader }: InstallationReport): string[] {
  if (recorder.pid === undefined || uploader.pid === undefined) return []
  if (!recorder.base || !uploader.base || recorder.base === uploader.base) return []
  const places = `the recorder works in ${recorder.base}, the uploader in ${uploader.base}`
  return [`${places}: ./scripts/restart.sh`]
}

function keepAliveProblems(name: string, report: DaemonReport<unknown>): string[] {
  if (report.pid === undefined || report.keepAlivePid !== undefined) return []
  return [`nobody would start the ${name} again if it died: ./scripts/start.sh`]
}

function cameraProblems({ recorder }: InstallationReport, nowMs: number): string[] {
  if (!isAlive(recorder, nowMs)) return []
  const { cameras = [], watch } = recorder.status ?? {}
  const problems = cameras.flatMap((camera) => {
    const problem = cameraProblem(camera, nowMs)
    if (problem !== undefined) return [`${camera.name} is not recording: ${problem}`]
    const grave = (camera.faults ?? []).filter(({ isGrave }) => isGrave)
    return grave.map((fault) => `${camera.name}: ${faultText(fault)}`)
  })
  if (watch === 'none') problems.push('open files cannot be seen: install lsof')
  return problems
}

/** How a camera is: one that is said to be recording may have fallen silent. */
export function cameraState(
  { state, footageUntil }: CameraStatus,
  nowMs: number,
): CameraStatus['state'] | 'stalled' {
  const isSilent = footageUntil !== undefined && nowMs - Date.parse(footageUntil) > stalledAfterMs
  return state === 'recording' && isSilent ? 'stalled' : state
}

/** Why a camera doesn't record; undefined if it does, or is just about to. */
function cameraProblem(camera: CameraStatus, nowMs: number): string | undefined {
  const state = cameraState(camera, nowMs)
  if (state === 'recording') return undefined
  const withoutMs = nowMs - Date.parse(camera.footageUntil ?? '')
  if (state === 'stalled') return `no new video for ${durationText(withoutMs)}`
  if (camera.problem !== undefined) return camera.problem
  const waitedMs = nowMs - Date.parse(camera.since)
  if (state === 'starting' && waitedMs < startsWithinMs) return undefined
  return `no answer for ${durationText(waitedMs)}`
}

function uploadProblems(report: InstallationReport, nowMs: number): string[] {
  const { uploader, base } = report
  if (!isAlive(uploader, nowMs) || !uploader.status) return []
  const { store, failed = [], problems = [], quarantine = 0 } = uploader.status
  const [first] = failed
  return [
    ...(store?.state === 'failing' ? [`S3: ${store.problem ?? 'fails'}`] : []),
    ...problems,
    ...(first ? [`${count(failed.length, 'upload')} failed: ${first.file}: ${first.problem}`] : []),
    ...(quarantine > 0 ? [quarantineProblem(quarantine, base)] : []),
  ]
}

function quarantineProblem(files: number, base: string): string {
  const lie = files === 1 ? 'lies' : 'lie'
  return `${count(files, 'file')} that could not be played ${lie} in quarantine (${base}/data/quarantine)`
}

/** What somebody was told of and is not over, unless a line says so already. */
function alertProblems(report: InstallationReport, said: string[], nowMs: number): string[] {
  const alerts = daemons.flatMap((name) => report[name].status?.alerts ?? [])
  return alerts.flatMap(({ subject, text, since, isTold }) => {
    const start = `${subject.replace(/^camera /, '')} `
    if (!isTold || said.some((line) => line.startsWith(start))) return []
    return [`alert since ${momentText(since, nowMs)}, not over yet: ${subject}: ${text}`]
  })
}

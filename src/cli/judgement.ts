import type { StatusHeader } from '../daemon/status-file.ts'
import type { CameraStatus } from '../recorder/camera-recorder.ts'
import type { UploaderStatus } from '../uploader/upload-status.ts'
import type { DaemonReport, InstallationReport } from './installation-report.ts'
import { bytesText, count, durationText } from '../daemon/units.ts'

export type Verdict = 'ok' | 'degraded' | 'down'

/** The exit code of status.sh. */
export const exitCodes: Record<Verdict, number> = { ok: 0, degraded: 1, down: 2 }

/** What is wrong, the worst first; each with what to do. Empty when all is well. */
export interface Judgement {
  verdict: Verdict
  problems: string[]
}

/** A daemon says how it is every 2 s; one that missed five times hangs. */
export const silentAfterMs = 10_000
/** With a long STALL_SECONDS nothing ends a recording that has frozen. */
const frozenAfterMs = 30_000
/** A camera that has not begun to record by then has a problem. */
const startsWithinMs = 45_000
/** The default of ALERT_UPLOAD_LAG_MINUTES. */
const usualLagMs = 60 * 60_000
/** Where the uploader, which knows MIN_FREE_DISK_GB, can't say it. */
const leastFreeBytes = 1e9
const noFreeBytes = 1e6

/** Down is a daemon that doesn't work; degraded, anything else that needs somebody's attention. */
export function judge(report: InstallationReport, nowMs: number): Judgement {
  const { recorder, uploader } = report
  const nothingRuns = [recorder, uploader].every((it) => (it.pid ?? it.keepAlivePid) === undefined)
  if (nothingRuns) return { verdict: 'down', problems: ['nothing is running: ./scripts/start.sh'] }
  const down = [
    ...daemonProblems('recorder', recorder, nowMs),
    ...daemonProblems('uploader', uploader, nowMs),
  ]
  const full = diskIsFull(report) ? [fullDiskProblem(report)] : []
  const untold = [recorder, uploader].flatMap(({ status }) => status?.alertProblems ?? [])
  const degraded = [
    ...cameraProblems(report, nowMs),
    ...uploadProblems(report, nowMs),
    ...almostFull(report, nowMs),
    ...movedProblems(report),
    ...keepAliveProblems('recorder', recorder),
    ...keepAliveProblems('uploader', uploader),
    ...untold,
  ]
  // A full disk is the reason of whatever else is wrong.
  const problems = [...full, ...down, ...degraded]
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
    return problem === undefined ? [] : [`${camera.name} is not recording: ${problem}`]
  })
  if (watch === 'none') problems.push('open files cannot be seen: install lsof')
  return problems
}

/** Why a camera doesn't record; undefined if it does, or is just about to. */
function cameraProblem(camera: CameraStatus, nowMs: number): string | undefined {
  const withoutMs = nowMs - Date.parse(camera.footageUntil ?? '')
  if (camera.state === 'recording')
    return withoutMs > frozenAfterMs ? `no new video for ${durationText(withoutMs)}` : undefined
  if (camera.problem !== undefined) return camera.problem
  const waited = nowMs - Date.parse(camera.since)
  if (camera.state === 'starting' && waited < startsWithinMs) return undefined
  return `no answer for ${durationText(waited)}`
}

function uploadProblems(report: InstallationReport, nowMs: number): string[] {
  const { uploader, base, segmentSeconds } = report
  if (!isAlive(uploader, nowMs) || !uploader.status) return []
  const { store, failed = [], problems = [], quarantine = 0 } = uploader.status
  const [first] = failed
  return [
    ...(store?.state === 'failing' ? [`S3: ${store.problem ?? 'fails'}`] : []),
    ...problems,
    ...(first ? [`${count(failed.length, 'upload')} failed: ${first.file}: ${first.problem}`] : []),
    ...(quarantine > 0 ? [quarantineProblem(quarantine, base)] : []),
    ...overdue(uploader.status, segmentSeconds, nowMs),
  ]
}

function quarantineProblem(files: number, base: string): string {
  const lie = files === 1 ? 'lies' : 'lie'
  return `${count(files, 'file')} that could not be played ${lie} in quarantine (${base}/data/quarantine)`
}

/**
 * A file waits from its end on; what is known is when it begins, by a clock that may have been
 * wrong: it counts from the uploader's own start.
 */
function overdue(
  { oldestWaiting, startedAt, uploadLagMs = usualLagMs }: Partial<UploaderStatus & StatusHeader>,
  segmentSeconds: number,
  nowMs: number,
): string[] {
  if (oldestWaiting === undefined) return []
  const endMs = Date.parse(oldestWaiting) + segmentSeconds * 1000
  const waitedMs = nowMs - Math.max(endMs, Date.parse(startedAt ?? oldestWaiting))
  return waitedMs > uploadLagMs ? [`a file has been waiting for ${durationText(waitedMs)}`] : []
}

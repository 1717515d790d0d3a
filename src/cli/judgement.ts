import type { CameraStatus } from '../recorder/camera-recorder.ts'
import type { UploaderStatus } from '../uploader/upload-status.ts'
import type { DaemonReport, InstallationReport } from './installation-report.ts'
import { bytesText, count, durationText } from './units.ts'

export type Verdict = 'ok' | 'degraded' | 'down'

/** The exit code of status.sh. */
export const exitCodes: Record<Verdict, number> = { ok: 0, degraded: 1, down: 2 }

/** What is wrong, the worst first; each with what to do. Empty when all is well. */
export interface Judgement {
  verdict: Verdict
  problems: string[]
}

/** A daemon says how it is every 2 s; one that missed five times hangs. */
const silentAfterMs = 10_000
/** A camera that has not begun to record by then has a problem. */
const startsWithinMs = 45_000
const longestWaitMs = 60 * 60_000
const leastFreeBytes = 1e9

/** Down is a daemon that doesn't work; degraded, anything else that needs somebody's attention. */
export function judge(report: InstallationReport, nowMs: number): Judgement {
  const { recorder, uploader } = report
  const nothingRuns = [recorder, uploader].every((it) => (it.pid ?? it.keepAlivePid) === undefined)
  if (nothingRuns) return { verdict: 'down', problems: ['nothing is running: ./scripts/start.sh'] }
  const down = [
    ...daemonProblems('recorder', recorder, nowMs),
    ...daemonProblems('uploader', uploader, nowMs),
  ]
  const degraded = [
    ...cameraProblems(report, nowMs),
    ...uploadProblems(report, nowMs),
    ...(report.freeBytes !== undefined && report.freeBytes < leastFreeBytes
      ? [`the disk is almost full: ${bytesText(report.freeBytes)} free at ${report.base}`]
      : []),
    ...keepAliveProblems('recorder', recorder),
    ...keepAliveProblems('uploader', uploader),
  ]
  const problems = [...down, ...degraded]
  if (down.length > 0) return { verdict: 'down', problems }
  return { verdict: degraded.length > 0 ? 'degraded' : 'ok', problems }
}

/** Whether a daemon runs and says so. */
export function isAlive({ pid, status }: DaemonReport<unknown>, nowMs: number): boolean {
  return (
    pid !== undefined &&
    status?.pid === pid &&
    nowMs - Date.parse(status.updatedAt) <= silentAfterMs
  )
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
  if (status?.pid !== pid) return [`the ${name} has only just started`]
  const silence = durationText(nowMs - Date.parse(status.updatedAt))
  return [`the ${name} hangs: no sign of life for ${silence} (it is replaced after 60 s)`]
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
  if (camera.state === 'recording') return undefined
  if (camera.problem !== undefined) return camera.problem
  const waited = nowMs - Date.parse(camera.since)
  if (camera.state === 'starting' && waited < startsWithinMs) return undefined
  return `no answer for ${durationText(waited)}`
}

function uploadProblems(report: InstallationReport, nowMs: number): string[] {
  const { uploader, base, segmentSeconds } = report
  if (!isAlive(uploader, nowMs) || !uploader.status) return []
  const { store, failed = [], quarantine = 0 } = uploader.status
  const [first] = failed
  return [
    ...(store?.state === 'failing' ? [`S3: ${store.problem ?? 'fails'}`] : []),
    ...(first ? [`${count(failed.length, 'upload')} failed: ${first.file}: ${first.problem}`] : []),
    ...(quarantine > 0 ? [quarantineProblem(quarantine, base)] : []),
    ...overdue(uploader.status, segmentSeconds, nowMs),
  ]
}

function quarantineProblem(files: number, base: string): string {
  const lie = files === 1 ? 'lies' : 'lie'
  return `${count(files, 'file')} that could not be played ${lie} in quarantine (${base}/data/quarantine)`
}

/** A file waits from its end on; what is known is when it begins. */
function overdue(
  { oldestWaiting }: Partial<UploaderStatus>,
  segmentSeconds: number,
  nowMs: number,
): string[] {
  if (oldestWaiting === undefined) return []
  const waitedMs = nowMs - Date.parse(oldestWaiting) - segmentSeconds * 1000
  return waitedMs > longestWaitMs ? [`a file has been waiting for ${durationText(waitedMs)}`] : []
}

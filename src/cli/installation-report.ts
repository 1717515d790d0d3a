import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { readFile, readlink, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Environment } from '../daemon/environment.ts'
import type { StatusHeader } from '../daemon/status-file.ts'
import type { CameraStatus } from '../recorder/camera-recorder.ts'
import { baseFolder } from '../segments/installation.ts'
import type { UploaderStatus } from '../uploader/upload-status.ts'

/** What the recorder says of itself, beside the header. */
export interface RecorderStatus {
  cameras: CameraStatus[]
  /** How the watchdog sees open files. */
  watch: 'lsof' | 'proc' | 'none'
}

/** A daemon as it shows from outside. */
export interface DaemonReport<Status> {
  /** Undefined unless it runs. */
  pid: number | undefined
  keepAlivePid: number | undefined
  /** What it last said; undefined if it doesn't run or said nothing yet. */
  status: (StatusHeader & Partial<Status>) | undefined
  /** When it last gave a sign of life: on a full disk it can do that and say nothing. */
  seenAtMs: number | undefined
  /** The base that it works in. */
  base: string | undefined
}

/** Everything that status.sh tells, as read from the files that the daemons keep. */
export interface InstallationReport {
  envFile: string
  base: string
  recorder: DaemonReport<RecorderStatus>
  uploader: DaemonReport<UploaderStatus>
  /** Of the disk of `recordings/`. */
  freeBytes: number | undefined
}

/** Reads how an installation is; works without any daemon, and with a broken ENV_FILE. */
export async function readReport(environment: Environment): Promise<InstallationReport> {
  const { file, runFolder } = environment
  const base = knownBase(environment)
  const disk = await statfs(join(base, 'recordings')).catch(async () =>
    statfs(base).catch(() => undefined),
  )
  return {
    envFile: file,
    base,
    recorder: await readDaemon<RecorderStatus>(runFolder, 'recorder'),
    uploader: await readDaemon<UploaderStatus>(runFolder, 'uploader'),
    freeBytes: disk && disk.bavail * disk.bsize,
  }
}

/** BASE_DIR as start.sh last found it in a good configuration, or as it is set. */
export function knownBase({ runFolder, variables }: Environment): string {
  const remembered = join(runFolder, 'base-dir')
  const [base] = existsSync(remembered) ? readFileSync(remembered, 'utf8').split('\n') : []
  return base || baseFolder(variables.BASE_DIR)
}

async function readDaemon<Status>(runFolder: string, name: string): Promise<DaemonReport<Status>> {
  const pid = runningPid(runFolder, name)
  const path = join(runFolder, `${name}.status`)
  const status = await readStatus<Status>(path)
  return {
    pid,
    keepAlivePid: runningPid(runFolder, `keep-alive-${name}`),
    // What an earlier process said stays there.
    status: pid !== undefined && status?.pid === pid ? status : undefined,
    seenAtMs: (await stat(path).catch(() => undefined))?.mtimeMs,
    base: await readlink(path).then(baseOf, () => undefined),
  }
}

/** `BASE_DIR/data/status/recorder.json` */
function baseOf(statusFile: string): string {
  return dirname(dirname(dirname(statusFile)))
}

async function readStatus<Status>(path: string): Promise<DaemonReport<Status>['status']> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as DaemonReport<Status>['status']
  } catch {
    return undefined
  }
}

/**
 * The PID of what holds a lock. A PID file is believed only while that process has the lock open:
 * after a reboot the number may belong to a stranger. scripts/lib.sh does the same.
 */
function runningPid(runFolder: string, name: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(runFolder, `${name}.pid`), 'utf8'))
    const lock = realpathSync(join(runFolder, `${name}.lock`))
    const descriptors = readdirSync(`/proc/${pid}/fd`)
    return descriptors.some((fd) => opens(`/proc/${pid}/fd/${fd}`, lock)) ? pid : undefined
  } catch {
    return undefined
  }
}

function opens(descriptor: string, path: string): boolean {
  try {
    return realpathSync(descriptor) === path
  } catch {
    return false
  }
}

// check.sh: everything that start.sh checks and more, before anything runs or while it does: this
// machine, every camera, the bucket. Exit code 1 with a fault.
import { setMaxListeners } from 'node:events'
import { systemClock } from '../daemon/clock.ts'
import {
  applyEnvironment,
  permissionWarnings,
  readEnvironment,
  type Environment,
} from '../daemon/environment.ts'
import { describeError } from '../daemon/logger.ts'
import { Redactor } from '../daemon/redact.ts'
import { StreamMemory } from '../recorder/stream-info.ts'
import { withoutCredentials } from '../recorder/camera-url.ts'
import { readRecorderConfig, type Camera, type RecorderConfig } from '../recorder/config.ts'
import { baseFolder } from '../segments/installation.ts'
import { foldersBelow } from '../segments/folders.ts'
import { readUploaderConfig, type UploaderConfig } from '../uploader/config.ts'
import { S3ObjectStore } from '../uploader/s3-object-store.ts'
import { readArguments } from './arguments.ts'
import { baseFolderFaults } from './base-folder.ts'
import type { CurrentRecording } from './camera-sample.ts'
import { checkCamera, type CheckedCamera } from './check-camera.ts'
import {
  checkClock,
  checkDisk,
  checkFfmpeg,
  checkFolders,
  checkNode,
  checkTools,
} from './check-machine.ts'
import { checkBucket } from './check-store.ts'
import { findingsText, type Finding } from './finding.ts'
import { readReport, type InstallationReport } from './installation-report.ts'
import { isAlive } from './judgement.ts'
import { mergeChecks } from './merged-checks.ts'

/** Cameras are given 25 s. */
const atMostMs = 28_000
const unread = { is: 'warning', text: 'not looked at: mend the settings first' } as const

const { values } = readArguments(
  { options: { json: { type: 'boolean', default: false } } },
  'usage: check.sh [--json]',
)
const redactor = new Redactor()
const findings = (await checkAll()).map((it) => ({ ...it, text: redactor.scrub(it.text) }))
const faults = findings.filter(({ is }) => is === 'fault').length
process.stdout.write(
  values.json ? `${JSON.stringify({ faults, findings }, undefined, 2)}\n` : findingsText(findings),
)
// A camera or a store that says nothing holds nobody up.
process.exit(faults > 0 ? 1 : 0)

async function checkAll(): Promise<Finding[]> {
  const environment = readEnvironment()
  applyEnvironment(environment)
  const recorder = readRecorderConfig(environment)
  const uploader = readUploaderConfig(environment)
  for (const checked of [recorder, uploader])
    if ('config' in checked) redactor.add(...checked.config.secrets)
  const signal = AbortSignal.timeout(atMostMs)
  const [machine, cameras, store] = await Promise.all([
    checkPrograms(recorder),
    checkCameras(environment, recorder, signal),
    checkStore(uploader, signal),
  ])
  const rate = cameras.reduce((sum, { sample }) => sum + (sample?.bitsPerSecond ?? 0), 0)
  const least = 'config' in uploader ? uploader.config.minFreeBytes : 0
  const folders = foldersBelow(baseFolder(environment.variables.BASE_DIR))
  return [
    ...machine,
    ...configuration(environment),
    checkFolders(folders),
    await checkDisk(folders, least, rate).catch((error: unknown): Finding => {
      return { is: 'fault', subject: 'disk', text: describeError(error) }
    }),
    checkClock(systemClock.now(), store.aheadMs),
    ...cameras.map(({ finding }) => finding),
    store.finding,
  ]
}

interface CheckedStore {
  finding: Finding
  /** By how much this machine's clock is ahead of the store's, if it has told its own. */
  aheadMs?: number
}

type Read<C> = { config: C; warnings: string[] } | { faults: unknown[] }

async function checkPrograms(recorder: Read<RecorderConfig>): Promise<Finding[]> {
  const encodes = 'config' in recorder && recorder.config.video.codec === 'h264'
  return Promise.all([checkNode(), checkFfmpeg(encodes), checkTools()])
}

/** What is wrong with the settings themselves. */
function configuration(environment: Environment): Finding[] {
  const { file, found, fault, variables } = environment
  const subject = 'settings'
  const { faults: wrong, warnings } = mergeChecks([
    readRecorderConfig(environment),
    readUploaderConfig(environment),
    { faults: baseFolderFaults(baseFolder(variables.BASE_DIR)) },
  ])
  const odd = [...permissionWarnings(environment), ...warnings]
  const none = `there is no ${file}: cp .env.example .env && chmod 600 .env`
  if (wrong.length + odd.length === 0)
    return [{ is: 'ok', subject, text: found ? file : 'real variables hold all' }]
  if (wrong.length > 0 && !found && !fault) wrong.unshift(none)
  return [
    ...wrong.map((text): Finding => ({ is: 'fault', subject, text })),
    ...odd.map((text): Finding => ({ is: 'warning', subject, text })),
  ]
}

async function checkCameras(
  environment: Environment,
  recorder: Read<RecorderConfig>,
  signal: AbortSignal,
): Promise<CheckedCamera[]> {
  if (!('config' in recorder)) return [{ finding: { ...unread, subject: 'cameras' } }]
  const { cameras, video, folders } = recorder.config
  // Each listens, and Node warns of more than ten.
  setMaxListeners(0, signal)
  const report = await readReport(environment)
  return Promise.all(
    cameras.map(async (camera) => {
      const current = currentRecording(report, camera)
      const remembered = await new StreamMemory(folders.streams).recall(camera)
      return checkCamera(camera, { video, current, remembered }, signal)
    }),
  )
}

/** How our own recorder records a camera at this moment, from this very URL. */
function currentRecording(
  { recorder, base }: InstallationReport,
  camera: Camera,
): CurrentRecording | undefined {
  if (!isAlive(recorder, systemClock.now())) return undefined
  const status = recorder.status?.cameras?.find(({ name }) => name === camera.name)
  const isSame = status?.url === withoutCredentials(camera.url)
  if (!isSame || status?.state !== 'recording' || !status.stream) return undefined
  const openFolder = foldersBelow(recorder.base ?? base).open
  return { openFolder, stream: status.stream }
}

async function checkStore(
  uploader: Read<UploaderConfig>,
  signal: AbortSignal,
): Promise<CheckedStore> {
  if (!('config' in uploader)) return { finding: { ...unread, subject: 'S3' } }
  const { store: settings, prefix } = uploader.config
  const store = new S3ObjectStore(settings)
  const key = [prefix, '.check'].filter(Boolean).join('/')
  // At once: the cameras are watched for longer.
  const ahead = (): Omit<CheckedStore, 'finding'> => {
    const storeMs = store.now()
    return storeMs === undefined ? {} : { aheadMs: systemClock.now() - storeMs }
  }
  try {
    return { finding: await checkBucket(store, { key, settings }, signal), ...ahead() }
  } catch (error) {
    const reason = signal.aborted ? 'no answer in time' : describeError(error)
    const text = `${reason}: look at the network, AWS_REGION and S3_ENDPOINT`
    return { finding: { is: 'fault', subject: 'S3', text }, ...ahead() }
  }
}

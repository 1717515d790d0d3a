import { z } from 'zod'
import {
  checkVariables,
  isCutShort,
  type Checked,
  type ConfigFault,
  type Environment,
} from '../daemon/environment.ts'
import type { AlertOptions } from '../daemon/alerting.ts'
import type { DaemonConfig } from '../daemon/run-daemon.ts'
import type { Folders } from '../segments/folders.ts'
import { choice, numberBetween, readInstallation } from '../segments/installation.ts'
import { safeCameraName } from '../segments/segment-name.ts'
import { readCameraUrl } from './camera-url.ts'

export interface Camera {
  /** The N of CAMERA_N_URL. */
  number: number
  /** Safe for file names. */
  name: string
  /** With its credentials percent-encoded. */
  url: string
  transport: 'tcp' | 'udp'
  audio: 'auto' | 'none'
}

export type VideoOutput =
  { codec: 'copy' } | { codec: 'h264'; bitrate: string | undefined; height: number | undefined }

export interface RecorderConfig extends DaemonConfig {
  alerts: AlertOptions
  cameras: Camera[]
  folders: Folders
  segmentSeconds: number
  stallAfterMs: number
  video: VideoOutput
}

const schema = z.object({
  SEGMENT_DURATION: numberBetween(
    2,
    86_400,
    600,
    'whole seconds from 2 to 86400, for example 600',
  ).refine(Number.isInteger, 'whole seconds from 2 to 86400, for example 600'),
  VIDEO_CODEC: choice(['copy', 'h264'], 'copy'),
  VIDEO_FORMAT: choice(['mp4'], 'mp4'),
  VIDEO_BITRATE: z
    .string()
    .regex(/^\d+[kM]?$/, 'bits a second, for example 2M')
    .optional(),
  VIDEO_HEIGHT: z
    .string()
    .regex(/^[1-9]\d{1,3}$/, 'a height in pixels, for example 720')
    .transform(Number)
    .optional(),
  STALL_SECONDS: numberBetween(2, 600, 15, 'seconds from 2 to 600, for example 15'),
})

const nameExpected = 'a name of at most 100 letters, for example Front door'

const cameraSchema = z.object({
  NAME: z
    .string()
    .refine((name) => !name.includes('://') && safeCameraName(name, '').length <= 100, nameExpected)
    .optional(),
  TRANSPORT: choice(['tcp', 'udp'], 'tcp'),
  AUDIO: choice(['auto', 'none'], 'auto'),
})

/** What the recorder reads from the environment, or every fault in it. */
export function readRecorderConfig(environment: Environment): Checked<RecorderConfig> {
  const base = readInstallation(environment)
  const checked = checkVariables(schema, environment)
  const cameras = readCameras(environment)
  if ('faults' in base || 'faults' in checked || cameras.faults.length > 0) {
    const lists = [base, checked, cameras].map((part) => ('faults' in part ? part.faults : []))
    return { faults: lists.flat() }
  }
  const { folders, log, alerts, secrets, warnings } = base.installation
  const { VIDEO_CODEC, VIDEO_BITRATE, VIDEO_HEIGHT } = checked.value
  return {
    config: {
      cameras: cameras.cameras,
      folders,
      log,
      statusFolder: folders.status,
      secrets: [...cameras.secrets, ...secrets],
      // The uploader beats for both.
      alerts: { ...alerts, heartbeatUrl: undefined, other: 'uploader' },
      segmentSeconds: checked.value.SEGMENT_DURATION,
      stallAfterMs: checked.value.STALL_SECONDS * 1000,
      video:
        VIDEO_CODEC === 'copy'
          ? { codec: 'copy' }
          : { codec: 'h264', bitrate: VIDEO_BITRATE, height: VIDEO_HEIGHT },
    },
    warnings: [...warnings, ...cameras.warnings],
  }
}

interface Cameras {
  cameras: Camera[]
  secrets: string[]
  warnings: string[]
  faults: ConfigFault[]
}

function readCameras(environment: Environment): Cameras {
  const { variables } = environment
  const result: Cameras = {
    cameras: [],
    secrets: [],
    warnings: [],
    faults: givenTwice(environment),
  }
  for (const number of cameraNumbers(variables)) {
    const url = variables[`CAMERA_${number}_URL`]
    if (url === undefined)
      result.warnings.push(`CAMERA_${number}_URL is not set: camera ${number} is not recorded`)
    else addCamera(result, environment, number)
  }
  result.faults.push(...collisions(result.cameras))
  if (!cameraNumbers(variables).some((number) => variables[`CAMERA_${number}_URL`]))
    result.faults.push({
      variable: 'CAMERA_1_URL',
      expected:
        'at least one camera, for example rtsp://admin:password@192.168.1.10/Preview_01_main',
    })
  return result
}

function addCamera(result: Cameras, environment: Environment, number: number): void {
  const variable = `CAMERA_${number}_URL`
  const url = readCameraUrl(variable, environment)
  // Of one that is cut short, readInstallation says so.
  if ('fault' in url) result.faults.push(...(isCutShort(variable, environment) ? [] : [url.fault]))
  else {
    result.secrets.push(...url.secrets)
    result.warnings.push(...url.warnings)
  }
  const options = checkVariables(cameraSchema, environment, `CAMERA_${number}_`)
  if ('faults' in options) result.faults.push(...options.faults)
  if ('fault' in url || 'faults' in options) return
  const { NAME, TRANSPORT: transport, AUDIO: audio } = options.value
  const fallback = `Camera_${number}`
  const name = safeCameraName(NAME ?? fallback, fallback)
  result.cameras.push({ number, name, url: url.url, transport, audio })
}

function cameraNumbers(variables: Record<string, string>): number[] {
  const numbers = Object.keys(variables).flatMap((name) => {
    const match = /^CAMERA_([1-9]\d*)_(URL|NAME|TRANSPORT|AUDIO)$/.exec(name)
    return match ? [Number(match[1])] : []
  })
  return [...new Set(numbers)].sort((a, b) => a - b)
}

function givenTwice({ assignments }: Environment): ConfigFault[] {
  const names = assignments
    .map(({ variable }) => variable)
    .filter((name) => /^CAMERA_\d/.test(name))
  const twice = new Set(names.filter((name, index) => names.indexOf(name) !== index))
  return [...twice].map((variable) => ({
    variable,
    found: `${names.filter((name) => name === variable).length} lines`,
    expected: 'one: give the other camera another number',
  }))
}

/** Names are compared without their case: not every file system tells `Front` from `front`. */
function collisions(cameras: Camera[]): ConfigFault[] {
  return cameras.flatMap((camera, index) => {
    const other = cameras
      .slice(0, index)
      .find(({ name }) => name.toLowerCase() === camera.name.toLowerCase())
    if (!other) return []
    const fault: ConfigFault = {
      variable: `CAMERA_${camera.number}_NAME`,
      found: camera.name,
      expected: `another file name than that of camera ${other.number}, ${other.name}`,
    }
    return [fault]
  })
}

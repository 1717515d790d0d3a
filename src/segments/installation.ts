import { resolve } from 'node:path'
import { z } from 'zod'
import {
  checkVariables,
  isCutShort,
  projectRoot,
  quoted,
  type ConfigFault,
  type Environment,
} from '../daemon/environment.ts'
import type { AlertOptions } from '../daemon/alerting.ts'
import { logLevels, type LogOptions } from '../daemon/logger.ts'
import { foldersBelow, type Folders } from './folders.ts'

/** What both daemons and the scripts know of an installation. */
export interface Installation {
  folders: Folders
  log: Omit<LogOptions, 'daemon'>
  alerts: Omit<AlertOptions, 'other'>
  /** How late an upload may be until somebody is told. */
  uploadLagMs: number
  /** Who has such a URL may write to whoever reads it. */
  secrets: string[]
  warnings: string[]
}

/** Every variable that `.env` may hold; N stands for a camera's number. */
export const knownVariables = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_REGION',
  'S3_BUCKET_NAME',
  'S3_ENDPOINT',
  'S3_PREFIX',
  'S3_STORAGE_CLASS',
  'S3_SERVER_SIDE_ENCRYPTION',
  'S3_KMS_KEY_ID',
  'CAMERA_N_URL',
  'CAMERA_N_NAME',
  'CAMERA_N_TRANSPORT',
  'CAMERA_N_AUDIO',
  'SEGMENT_DURATION',
  'VIDEO_CODEC',
  'VIDEO_FORMAT',
  'VIDEO_BITRATE',
  'VIDEO_HEIGHT',
  'STALL_SECONDS',
  'STABLE_SECONDS',
  'RESCAN_SECONDS',
  'UPLOAD_CONCURRENCY',
  'UPLOAD_MAX_MBITS',
  'LOCAL_RETENTION_HOURS',
  'MIN_FREE_DISK_GB',
  'ON_DISK_FULL',
  'BASE_DIR',
  'LOG_LEVEL',
  'LOG_FORMAT',
  'LOG_RETENTION_DAYS',
  'LOG_MAX_MB',
  'ALERT_WEBHOOK_URL',
  'ALERT_AFTER_SECONDS',
  'ALERT_UPLOAD_LAG_MINUTES',
  'HEARTBEAT_URL',
  'TZ',
]

/** What `.env.example` holds where nothing but one's own value can work. */
const exampleValues: Record<string, string> = {
  AWS_ACCESS_KEY_ID: 'your-access-key-id',
  AWS_SECRET_ACCESS_KEY: 'your-secret-access-key',
  S3_BUCKET_NAME: 'your-bucket',
  CAMERA_1_URL: 'rtsp://admin:password@192.168.1.10:554/Preview_01_main',
}

const webhookExpected =
  'the http(s) address that takes messages, without a password, for example https://hooks.slack.com/services/…'
const heartbeatExpected =
  'the http(s) address that is to be asked every minute, for example https://hc-ping.com/…'

const schema = z.object({
  BASE_DIR: z.string().optional(),
  LOG_LEVEL: choice(logLevels, 'INFO', (text) => text.toUpperCase()),
  LOG_FORMAT: choice(['text', 'json'], 'text'),
  LOG_RETENTION_DAYS: numberBetween(0, 36_500, 14, 'a number of days, for example 14'),
  LOG_MAX_MB: numberBetween(1, 1e6, 500, 'megabytes, 1 or more, for example 500'),
  ALERT_WEBHOOK_URL: z.string().trim().refine(isWebUrl, webhookExpected).optional(),
  ALERT_AFTER_SECONDS: numberBetween(1, 86_400, 120, 'seconds, 1 to 86400, for example 120'),
  ALERT_UPLOAD_LAG_MINUTES: numberBetween(0.1, 1e5, 60, 'minutes, 0.1 or more, for example 60'),
  HEARTBEAT_URL: z.string().trim().refine(isWebUrl, heartbeatExpected).optional(),
})

function isWebUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password } = new URL(text)
  return /^https?:$/.test(protocol) && !username && !password
}

export function readInstallation(
  environment: Environment,
): { installation: Installation } | { faults: ConfigFault[] } {
  const checked = checkVariables(schema, environment)
  const typos = findTypos(environment)
  const faults = [
    ...(environment.fault ? [environment.fault] : []),
    ...('faults' in checked ? checked.faults : []),
    ...typos.faults,
    ...cutShort(environment),
    ...unedited(environment),
  ]
  if ('faults' in checked || faults.length > 0) return { faults }
  const { BASE_DIR, LOG_LEVEL, LOG_FORMAT, LOG_RETENTION_DAYS, ...rest } = checked.value
  const { ALERT_WEBHOOK_URL: webhookUrl, HEARTBEAT_URL: heartbeatUrl } = rest
  const folders = foldersBelow(baseFolder(BASE_DIR))
  return {
    installation: {
      folders,
      log: {
        folder: folders.logs,
        level: LOG_LEVEL,
        format: LOG_FORMAT,
        retentionDays: LOG_RETENTION_DAYS,
        maxBytes: rest.LOG_MAX_MB * 1e6,
      },
      alerts: { webhookUrl, heartbeatUrl, afterMs: rest.ALERT_AFTER_SECONDS * 1000 },
      uploadLagMs: rest.ALERT_UPLOAD_LAG_MINUTES * 60_000,
      secrets: [webhookUrl, heartbeatUrl].filter((url) => url !== undefined),
      warnings: [...typos.warnings, ...zoneWarnings(environment)],
    },
  }
}

/** BASE_DIR, from the project's root where it is relative; needs no valid configuration. */
export function baseFolder(baseDir: string | undefined): string {
  return resolve(projectRoot, baseDir ?? '.')
}

/** A number within bounds; `expected` says so, with units and an example. */
export function numberBetween(
  least: number,
  most: number,
  standard: number,
  expected: string,
): z.ZodType<number> {
  return z
    .string()
    .trim()
    .regex(/^\d+(\.\d+)?$/, expected)
    .transform(Number)
    .refine((value) => value >= least && value <= most, expected)
    .default(standard)
}

/** One of some words. */
export function choice<const T extends string>(
  words: readonly T[],
  standard: T,
  normalize: (text: string) => string = (text) => text.toLowerCase(),
): z.ZodType<T> {
  return z
    .string()
    .transform((text) => normalize(text.trim()))
    .pipe(z.enum(words, `one of ${words.join(', ')}`))
    .default(standard)
}

function cutShort(environment: Environment): ConfigFault[] {
  const names = new Set(environment.assignments.map(({ variable }) => variable))
  return [...names]
    .filter((variable) => isCutShort(variable, environment))
    .map((variable) => {
      const isUrl = /_(URL|ENDPOINT)$/.test(variable)
      const instead = isUrl ? 'write # as %23' : 'put the value into single quotes'
      const expected = `no unquoted #, which begins a comment: ${instead}`
      return { variable, found: '***', expected }
    })
}

function unedited({ variables }: Environment): ConfigFault[] {
  return Object.entries(exampleValues)
    .filter(([variable, value]) => variables[variable]?.trim() === value)
    .map(([variable]) => ({
      variable,
      found: "still the example's value",
      expected: 'your own',
    }))
}

/**
 * Variables that look like a misspelt one of ours: a fault where they would name a camera or the
 * store, for then something would silently not be recorded or shipped; else a warning.
 */
function findTypos({ assignments, variables }: Environment): {
  faults: ConfigFault[]
  warnings: string[]
} {
  const ours = /^(CAMERA_|S3_)/
  const names = new Set([
    ...assignments.map(({ variable }) => variable),
    ...Object.keys(variables).filter((name) => ours.test(name)),
  ])
  const faults: ConfigFault[] = []
  const warnings: string[] = []
  for (const name of names) {
    const number = /\d+/.exec(name)?.[0]
    const general = name.replace(/^CAMERA_[1-9]\d*_/, 'CAMERA_N_')
    if (knownVariables.includes(general)) continue
    const near = nearest(name.replace(/\d+/, 'N'))?.replace('_N_', `_${Number(number) || 1}_`)
    if (near && ours.test(near))
      faults.push({
        variable: name,
        found: 'a name that is not known',
        expected: `${near}, perhaps?`,
      })
    else if (near) warnings.push(`${name} is not known and has no effect: did you mean ${near}?`)
    else if (ours.test(name)) warnings.push(`${name} is not known and has no effect`)
  }
  return { faults, warnings }
}

function nearest(name: string): string | undefined {
  // `CAM_1_URL` would leave a camera unrecorded.
  const most = name.startsWith('CAM') ? 3 : 2
  const ranked = knownVariables
    .filter((known) => Math.abs(known.length - name.length) <= most)
    .map((known) => ({ known, distance: editDistance(name.toUpperCase(), known) }))
    .sort((a, b) => a.distance - b.distance)
  return ranked.find(({ distance }) => distance <= most)?.known
}

/** FFmpeg, which names the files, and Node, which reads the names, must mean the same zone. */
function zoneWarnings({ variables: { TZ } }: Environment): string[] {
  if (TZ === undefined) return []
  try {
    Intl.DateTimeFormat('en', { timeZone: TZ.replace(/^:/, '') })
    return []
  } catch {
    return [`TZ=${quoted(TZ)} is no zone that Node.js knows; write one like Europe/Berlin`]
  }
}

/** Levenshtein's distance: how many letters to insert, delete or replace. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [i, letter] of from.split('').entries()) {
    const next = [i + 1]
    for (const [j, other] of to.split('').entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}

import { z } from 'zod'
import type { AlertOptions } from '../daemon/alerting.ts'
import type { DaemonConfig } from '../daemon/run-daemon.ts'
import {
  checkVariables,
  type Checked,
  type ConfigFault,
  type Environment,
} from '../daemon/environment.ts'
import type { Folders } from '../segments/folders.ts'
import { choice, numberBetween, readInstallation } from '../segments/installation.ts'
import { diskFullPolicies, type DiskFullPolicy } from './free-space.ts'
import type { S3Settings } from './s3-object-store.ts'

export interface UploaderConfig extends DaemonConfig {
  alerts: AlertOptions
  folders: Folders
  store: S3Settings
  /** Of every key, without slashes at its ends; may be empty. */
  prefix: string
  retentionMs: number
  stableAfterMs: number
  rescanEveryMs: number
  concurrency: number
  /** Undefined: as fast as it goes. */
  maxMbits: number | undefined
  minFreeBytes: number
  onDiskFull: DiskFullPolicy
  uploadLagMs: number
}

const encryptions = ['AES256', 'aws:kms', 'none'] as const
const storageClasses = [
  'STANDARD',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER_IR',
  'GLACIER',
  'DEEP_ARCHIVE',
  'REDUCED_REDUNDANCY',
  'OUTPOSTS',
  'EXPRESS_ONEZONE',
] as const

const bucketExpected = 'the name of the bucket, for example my-camera-footage'
const regionExpected = 'the region of the bucket, for example us-east-1'
const endpointExpected =
  'the http(s) address of an S3-compatible store, for example https://minio.example:9000'
const limitExpected = 'million bits a second, 0.1 or more, for example 5; 0: no limit'
const prefixExpected = 'a path without spaces, for example recordings'

const schema = z.object({
  AWS_ACCESS_KEY_ID: z.string().trim().optional(),
  AWS_SECRET_ACCESS_KEY: z.string().trim().optional(),
  AWS_SESSION_TOKEN: z.string().trim().optional(),
  AWS_REGION: z
    .string()
    .trim()
    .regex(/^[a-z0-9-]+$/, regionExpected)
    .default('us-east-1'),
  S3_BUCKET_NAME: z
    .string(bucketExpected)
    .trim()
    .regex(/^([\w.-]{3,255}|arn:[^\s]+)$/, bucketExpected),
  S3_ENDPOINT: z.string().trim().refine(isEndpoint, endpointExpected).optional(),
  S3_PREFIX: z
    .string()
    .trim()
    .regex(/^[^\s\p{C}]*$/u, prefixExpected)
    .transform((text) => text.split('/').filter(Boolean).join('/'))
    .default('recordings'),
  S3_STORAGE_CLASS: choice(storageClasses, 'STANDARD', (text) => text.toUpperCase()),
  S3_SERVER_SIDE_ENCRYPTION: choice(encryptions, 'AES256', encryptionSpelling),
  S3_KMS_KEY_ID: z.string().trim().optional(),
  LOCAL_RETENTION_HOURS: numberBetween(0, 1e6, 24, 'hours after the upload, for example 24'),
  STABLE_SECONDS: numberBetween(0.1, 86_400, 60, 'seconds, 0.1 to 86400, for example 60'),
  RESCAN_SECONDS: numberBetween(0.1, 86_400, 30, 'seconds, 0.1 to 86400, for example 30'),
  UPLOAD_CONCURRENCY: numberBetween(1, 32, 2, 'a whole number, 1 to 32, for example 2').refine(
    Number.isInteger,
    'a whole number, 1 to 32, for example 2',
  ),
  UPLOAD_MAX_MBITS: numberBetween(0, 1e6, 0, limitExpected).refine(
    (value) => value === 0 || value >= 0.1,
    limitExpected,
  ),
  MIN_FREE_DISK_GB: numberBetween(0, 1e6, 2, 'GB (a billion bytes), for example 2; 0: no minimum'),
  ON_DISK_FULL: choice(diskFullPolicies, 'keep'),
})

/** What the uploader needs to know, or every fault in it. */
export function readUploaderConfig(environment: Environment): Checked<UploaderConfig> {
  const installed = readInstallation(environment)
  const checked = checkVariables(schema, environment)
  const faults = [
    ...('faults' in installed ? installed.faults : []),
    ...('faults' in checked ? checked.faults : []),
    ...halfCredentials(environment),
  ]
  if ('faults' in installed || 'faults' in checked || faults.length > 0) return { faults }
  const { folders, log, alerts, uploadLagMs, warnings } = installed.installation
  const { value } = checked
  const secrets = [value.AWS_SECRET_ACCESS_KEY, value.AWS_SESSION_TOKEN, value.AWS_ACCESS_KEY_ID]
  return {
    config: {
      log,
      folders,
      statusFolder: folders.status,
      secrets: [...installed.installation.secrets, ...secrets.filter((it) => it !== undefined)],
      ...{ alerts: { ...alerts, other: 'recorder' }, uploadLagMs },
      store: storeSettings(value),
      prefix: value.S3_PREFIX,
      retentionMs: value.LOCAL_RETENTION_HOURS * 3_600_000,
      stableAfterMs: value.STABLE_SECONDS * 1000,
      rescanEveryMs: value.RESCAN_SECONDS * 1000,
      concurrency: value.UPLOAD_CONCURRENCY,
      maxMbits: value.UPLOAD_MAX_MBITS || undefined,
      minFreeBytes: Math.round(value.MIN_FREE_DISK_GB * 1e9),
      onDiskFull: value.ON_DISK_FULL,
    },
    warnings: [...warnings, ...uselessKmsKey(value)],
  }
}

type Variables = z.infer<typeof schema>

function storeSettings(value: Variables): S3Settings {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = value
  const { AWS_SESSION_TOKEN: sessionToken, S3_ENDPOINT: endpoint } = value
  const kmsKeyId = value.S3_SERVER_SIDE_ENCRYPTION === 'aws:kms' ? value.S3_KMS_KEY_ID : undefined
  const credentials =
    accessKeyId && secretAccessKey
      ? { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) }
      : undefined
  return {
    bucket: value.S3_BUCKET_NAME,
    region: value.AWS_REGION,
    storageClass: value.S3_STORAGE_CLASS,
    encryption: value.S3_SERVER_SIDE_ENCRYPTION,
    ...(endpoint ? { endpoint } : {}),
    ...(credentials ? { credentials } : {}),
    ...(kmsKeyId ? { kmsKeyId } : {}),
  }
}

/** One key without the other, or a token without either, would be silently ignored. */
function halfCredentials({ variables }: Environment): ConfigFault[] {
  const id = variables.AWS_ACCESS_KEY_ID !== undefined
  const secret = variables.AWS_SECRET_ACCESS_KEY !== undefined
  const expected = (other: string): string => `the key that belongs to ${other}, or neither of them`
  if (id && !secret)
    return [{ variable: 'AWS_SECRET_ACCESS_KEY', expected: expected('AWS_ACCESS_KEY_ID') }]
  if (secret && !id)
    return [{ variable: 'AWS_ACCESS_KEY_ID', expected: expected('AWS_SECRET_ACCESS_KEY') }]
  if (variables.AWS_SESSION_TOKEN !== undefined && !id)
    return [{ variable: 'AWS_ACCESS_KEY_ID', expected: 'the key of AWS_SESSION_TOKEN' }]
  return []
}

function uselessKmsKey(value: Variables): string[] {
  if (!value.S3_KMS_KEY_ID || value.S3_SERVER_SIDE_ENCRYPTION === 'aws:kms') return []
  return ['S3_KMS_KEY_ID has no effect without S3_SERVER_SIDE_ENCRYPTION=aws:kms']
}

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search, hash, hostname } = new URL(text)
  const isHttp = protocol === 'http:' || protocol === 'https:'
  return isHttp && hostname !== '' && !username && !password && !search && !hash
}

function encryptionSpelling(text: string): string {
  return encryptions.find((word) => word.toLowerCase() === text.toLowerCase()) ?? text
}

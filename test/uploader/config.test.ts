import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { describeFault, readEnvironment } from '../../src/daemon/environment.ts'
import { readUploaderConfig, type UploaderConfig } from '../../src/uploader/config.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

async function read(t: TestContext, ...lines: string[]) {
  const file = join(await temporaryFolder(t), '.env')
  await writeFile(file, lines.join('\n'))
  return readUploaderConfig(readEnvironment({ ENV_FILE: file }))
}

async function config(t: TestContext, ...lines: string[]): Promise<UploaderConfig> {
  const checked = await read(t, 'S3_BUCKET_NAME=footage', ...lines)
  return 'config' in checked ? checked.config : assert.fail(JSON.stringify(checked))
}

test('a bucket is enough', async (t) => {
  const { store, prefix, retentionMs, stableAfterMs, rescanEveryMs, concurrency } = await config(t)
  assert.deepEqual(store, {
    bucket: 'footage',
    region: 'us-east-1',
    storageClass: 'STANDARD',
    encryption: 'AES256',
  })
  assert.deepEqual(
    { prefix, retentionMs, stableAfterMs, rescanEveryMs, concurrency },
    ...[
      {
        prefix: 'recordings',
        retentionMs: 86_400_000,
        stableAfterMs: 60_000,
        rescanEveryMs: 30_000,
        concurrency: 2,
      },
    ],
  )
})

test('everything can be said, with comments behind it', async (t) => {
  const { store, prefix, retentionMs, secrets } = await config(
    t,
    'AWS_ACCESS_KEY_ID=AKIDX # the key',
    'AWS_SECRET_ACCESS_KEY="sec#ret"',
    'AWS_SESSION_TOKEN=token',
    'S3_ENDPOINT=https://minio.example:9000',
    'S3_PREFIX=/a/b/',
    'S3_STORAGE_CLASS=standard_ia',
    'S3_SERVER_SIDE_ENCRYPTION=AWS:KMS',
    'S3_KMS_KEY_ID=key-1',
    'LOCAL_RETENTION_HOURS=0.5  # half an hour',
  )
  assert.equal(prefix, 'a/b')
  assert.equal(retentionMs, 1_800_000)
  assert.deepEqual(secrets, ['sec#ret', 'token', 'AKIDX'])
  assert.deepEqual(store, {
    bucket: 'footage',
    region: 'us-east-1',
    endpoint: 'https://minio.example:9000',
    credentials: { accessKeyId: 'AKIDX', secretAccessKey: 'sec#ret', sessionToken: 'token' },
    storageClass: 'STANDARD_IA',
    encryption: 'aws:kms',
    kmsKeyId: 'key-1',
  })
})

test('every fault is said at once, with what was found and an example, and no secret', async (t) => {
  const checked = await read(
    t,
    'AWS_SECRET_ACCESS_KEY=very-secret',
    'AWS_REGION=us east',
    'S3_ENDPOINT=minio:9000',
    'S3_SERVER_SIDE_ENCRYPTION=rot13',
    'LOCAL_RETENTION_HOURS=a day',
    'STABLE_SECONDS=-1',
    'RESCAN_SECONDS=0',
    'UPLOAD_CONCURRENCY=1.5',
    'S3_BUKET_NAME=footage',
    'LOG_LEVEL=loud',
  )
  assert.ok('faults' in checked)
  const faults = checked.faults.map(describeFault)
  assert.deepEqual(checked.faults.map(({ variable }) => variable).sort(), [
    ...['AWS_ACCESS_KEY_ID', 'AWS_REGION', 'LOCAL_RETENTION_HOURS', 'LOG_LEVEL', 'RESCAN_SECONDS'],
    ...['S3_BUCKET_NAME', 'S3_BUKET_NAME', 'S3_ENDPOINT', 'S3_SERVER_SIDE_ENCRYPTION'],
    ...['STABLE_SECONDS', 'UPLOAD_CONCURRENCY'],
  ])
  const text = faults.join('\n')
  assert.doesNotMatch(text, /very-secret/)
  assert.match(text, /S3_ENDPOINT: found "minio:9000".*for example https:\/\//)
  assert.match(text, /S3_BUCKET_NAME: not set; expected .*for example/)
  assert.match(
    text,
    /S3_SERVER_SIDE_ENCRYPTION: found "rot13"; expected one of AES256, aws:kms, none/,
  )
})

for (const [lines, missing] of [
  [['AWS_ACCESS_KEY_ID=x'], 'AWS_SECRET_ACCESS_KEY'],
  [['AWS_SECRET_ACCESS_KEY=x'], 'AWS_ACCESS_KEY_ID'],
  [['AWS_SESSION_TOKEN=x'], 'AWS_ACCESS_KEY_ID'],
] as const)
  test(`${lines[0]} alone is a fault: ${missing} is missing`, async (t) => {
    const checked = await read(t, 'S3_BUCKET_NAME=footage', ...lines)
    assert.ok('faults' in checked)
    assert.deepEqual(
      checked.faults.map(({ variable }) => variable),
      [missing],
    )
  })

test('a KMS key without KMS is worth a warning', async (t) => {
  const checked = await read(t, 'S3_BUCKET_NAME=footage', 'S3_KMS_KEY_ID=k')
  assert.ok('config' in checked)
  assert.equal(checked.warnings.length, 1)
})

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { canary, canaryKeys, canaryWord, inUrl } from './canaries.ts'
import { S3Server } from './s3-server.ts'
import { SecretWatch } from './secret-watch.ts'
import { temporaryFolder } from './temporary-folder.ts'

const password = canary()
const { accessKeyId, secretAccessKey } = canaryKeys()
const token = canaryWord()
const settings = {
  ALERT_WEBHOOK_URL: `https://hooks.example/hook?token=${token}`,
  CAMERA_1_URL: `rtsp://admin:${inUrl(password)}@127.0.0.1/main`,
  AWS_ACCESS_KEY_ID: accessKeyId,
  AWS_SECRET_ACCESS_KEY: secretAccessKey,
}

async function watchIn(t: TestContext): Promise<{ folder: string; watch: SecretWatch }> {
  const folder = await temporaryFolder(t)
  const watch = new SecretWatch([folder])
  watch.add(settings)
  t.after(() => watch.end())
  return { folder, watch }
}

const spellings: [string, string][] = [
  ['as it is', password],
  ['in a URL', settings.CAMERA_1_URL],
  ['in JSON', JSON.stringify({ reason: password })],
  ['in part', `Failed to resolve hostname ${password.split('@')[0]}`],
  ['as a header of HTTP', Buffer.from(`admin:${password}`).toString('base64')],
  ['as a key id', accessKeyId],
  ['as a secret key', secretAccessKey],
  ['as the token of a webhook', token],
]

for (const [how, text] of spellings)
  test(`a secret ${how} is found in a file, however deep it lies`, async (t) => {
    const { folder, watch } = await watchIn(t)
    mkdirSync(join(folder, 'data', 'logs'), { recursive: true })
    writeFileSync(join(folder, 'data', 'logs', 'recorder.log'), `a line\n... ${text} ...\n`)
    const [leak = '', ...more] = watch.end()
    assert.match(leak, /^(CAMERA_1_URL|AWS_\w+|ALERT_WEBHOOK_URL) in .*recorder\.log/)
    assert.deepEqual(
      more.filter((other) => !other.includes('recorder.log')),
      [],
    )
  })

test('a secret is found in the name of a file, in what was printed and in the metadata of an object', async (t) => {
  const folder = await temporaryFolder(t)
  const server = await S3Server.start()
  t.after(async () => server.close())
  const watch = new SecretWatch([folder])
  watch.listen(() => `camera ${password}`)
  watch.add(settings)
  writeFileSync(join(folder, `${accessKeyId}.mp4`), '')
  const object = { path: '', bytes: 0, etag: '', lastModified: new Date() }
  server.objects.set('key', { ...object, headers: { 'x-amz-meta-key': secretAccessKey } })
  const leaks = watch.end().join('\n')
  server.objects.clear()
  for (const place of ['the name of a file', 'what was printed', 'the object key'])
    assert.ok(leaks.includes(place), `${place} in:\n${leaks}`)
})

test('a secret is found in the arguments of a process that runs for half a second', async (t) => {
  const { watch } = await watchIn(t)
  const child = spawn('sh', ['-c', 'sleep 0.5', settings.CAMERA_1_URL])
  await new Promise((resolve) => child.on('close', resolve))
  assert.match(watch.end().join('\n'), /CAMERA_1_URL in the arguments of a process/)
})

test('what is not a secret is no leak, and a secret too short to be searched for is refused', async (t) => {
  const { folder, watch } = await watchIn(t)
  writeFileSync(join(folder, 'recorder.log'), 'rtsp://admin:***@127.0.0.1/main canary AWS admin')
  assert.deepEqual(watch.end(), [])
  assert.throws(
    () => watch.add({ CAMERA_1_URL: 'rtsp://admin:x@127.0.0.1/main' }),
    /the secret in CAMERA_1_URL can't be searched for/,
  )
})

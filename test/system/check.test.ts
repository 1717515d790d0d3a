import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { symlink } from 'node:fs/promises'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { canary, canaryKeys, inUrl } from '../support/canaries.ts'
import { cachedClip } from '../support/clips.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { runScript, startInstallation } from './installation.ts'

test('check.sh looks at the machine, each camera and the bucket, and says what to mend', async (t) => {
  const { installation, camera } = await startInstallation(t, { S3_SERVER_SIDE_ENCRYPTION: 'none' })
  await installation.run('setup.sh', '--quiet')
  const well = await installation.run('check.sh')
  assert.equal(well.code, 0, well.output)
  assert.ok(well.ms < 15_000, `${well.ms} ms`)
  for (const line of [
    /^✓ Node\.js +\d+\.\d+/m,
    /^✓ FFmpeg +\d/m,
    /^✓ tools +lsof, flock, setpriv, prlimit, npm are there$/m,
    /^✓ settings +\//m,
    /^✓ folders /m,
    /^✓ disk .* free at .*: room for \d+ \w+/m,
    /^✓ clock +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .*as that of S3/m,
    /^✓ Front +127\.0\.0\.1:\d+ sends h264 640x360, 25 fps, a keyframe every 1\.0 s, \d\.\d Mbit\/s, aac/m,
    /^✓ S3 +test-footage \(http:.*\) takes an object and gives it back/m,
    /^All is well\.$/m,
  ])
    assert.match(well.output, line)
  assert.deepEqual(installation.processes(), [])

  const rare = await startRtspCamera({
    clip: await cachedClip({ gopSeconds: 5, audio: 'none' }),
  })
  t.after(async () => rare.close())
  await installation.configure({
    CAMERA_1_URL: camera.url.replace(/:[^:@]+@/, `:${inUrl(canary())}@`),
    CAMERA_2_URL: camera.url.replace('Preview_01_main', 'Preview_99_main'),
    CAMERA_3_URL: `rtsp://admin:${inUrl(canary())}@127.0.0.1:${await closedPort()}/main`,
    CAMERA_4_URL: `rtsp://admin:${inUrl(canary())}@no-such-host.invalid/main`,
    CAMERA_5_URL: rare.url,
    CAMERA_6_URL: `rtsp://admin:${inUrl(canary())}@127.0.0.1:${await mutePort(t)}/main`,
    AWS_SECRET_ACCESS_KEY: canaryKeys().secretAccessKey,
  })
  const ill = await installation.run('check.sh')
  assert.equal(ill.code, 1, ill.output)
  assert.ok(ill.ms < 15_000, `${ill.ms} ms`)
  const text = ill.output.replaceAll(/\n {4,}/g, ' ')
  for (const line of [
    /^✗ Front +the camera rejects the user or password: check CAMERA_1_URL/m,
    /^✗ Camera_2 +the camera has no stream \/Preview_99_main: .*Reolink: \/Preview_01_main/m,
    /^✗ Camera_3 +127\.0\.0\.1:\d+ refuses the connection/m,
    /^✗ Camera_4 +no such host as no-such-host\.invalid/m,
    /^! Camera_5 .* a keyframe every 5\.0 s, .*no audio: set its I-frame interval/m,
    /^✗ Camera_6 +(127\.0\.0\.1:\d+ answers, but sends nothing that|no answer from 127\.0\.0\.1:\d+)/m,
    /^✗ S3 .*AWS_SECRET_ACCESS_KEY/m,
    /^6 faults \(✗\), 1 warning \(!\)$/m,
  ])
    assert.match(text, line)

  await installation.configure({ CAMERA_1_URL: 'front', S3_BUCKET_NAME: 'no-such-bucket' })
  const json = await installation.run('check.sh', '--json')
  assert.equal(json.code, 1)
  const { faults, findings } = JSON.parse(json.output) as {
    faults: number
    findings: { is: string; subject: string; text: string }[]
  }
  assert.equal(faults, 2, json.output)
  const [settings, store] = findings.filter(({ is }) => is === 'fault')
  assert.match(settings?.text ?? '', /^CAMERA_1_URL: found \*\*\*; expected a URL/)
  assert.match(store?.text ?? '', /S3_BUCKET_NAME/)

  await installation.configure({ LOG_LEVEL: 'LOUD' })
  const loud = await installation.run('check.sh')
  assert.equal(loud.code, 1)
  assert.match(loud.output, /^✗ settings +LOG_LEVEL: found "LOUD"/m)
  assert.match(loud.output, /^! cameras +not looked at: mend the settings first\n! S3 +not looked/m)
})

test('check.sh names all that start.sh would refuse, whatever is missing', async (t) => {
  const bin = await temporaryFolder(t)
  const tools = [
    'bash',
    'sh',
    'dirname',
    'realpath',
    'sha256sum',
    'sort',
    'head',
    'ffmpeg',
    'ffprobe',
  ]
  for (const tool of tools)
    await symlink(execFileSync('which', [tool], { encoding: 'utf8' }).trim(), join(bin, tool))
  const base = await temporaryFolder(t)
  const variables = { PATH: bin, ENV_FILE: join(base, 'none.env'), BASE_DIR: base }
  const noNode = await runScript('check.sh', [], variables)
  assert.equal(noNode.code, 1)
  assert.match(noNode.output, /^✗ Node\.js {2}there is none, and 20\.19 or later is needed: run/)
  const json = await runScript('check.sh', ['--json'], variables)
  assert.deepEqual([json.code, (JSON.parse(json.output) as { faults: number }).faults], [1, 1])

  await symlink(process.execPath, join(bin, 'node'))
  const bare = await runScript('check.sh', [], variables)
  assert.equal(bare.code, 1, bare.output)
  assert.match(
    bare.output,
    /^✗ tools +missing: lsof, flock, setpriv, prlimit, npm: sudo apt-get install -y lsof util-linux\s+npm$/m,
  )
  assert.match(bare.output, /^✗ settings +ENV_FILE: found no .*none\.env/m)
  assert.match(bare.output, /^\d faults \(✗\)/m)
})

/** It takes a connection, and never says a word. */
async function mutePort(t: TestContext): Promise<number> {
  const connections = new Set<Socket>()
  const server = createServer((socket) => void connections.add(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of connections) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

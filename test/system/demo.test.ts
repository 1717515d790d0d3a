import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { promisify } from 'node:util'
import { projectRoot, readEnvironment } from '../../src/daemon/environment.ts'
import { processesWith, runScript } from './installation.ts'

const folder = join(projectRoot, 'data', 'demo')
const envFile = join(folder, 'demo.env')

test('start.sh --demo shows a verified upload that plays, and stop.sh leaves nothing of it', async (t) => {
  if (processesWith(`ENV_FILE=${envFile}`).length > 0) return t.skip('the demo runs already')
  const isOurs = !existsSync(folder)
  t.after(async () => {
    await runScript('stop.sh', [], { ENV_FILE: envFile })
    await rm(readEnvironment({ ENV_FILE: envFile }).runFolder, { recursive: true, force: true })
    if (isOurs) await rm(folder, { recursive: true })
  })
  // What belongs to real footage must not reach the demo.
  const real = {
    S3_BUCKET_NAME: 'real',
    AWS_ACCESS_KEY_ID: 'REAL',
    CAMERA_3_URL: 'rtsp://10.0.0.1',
  }
  const start = await runScript('start.sh', ['--demo'], real)
  assert.equal(start.code, 0, start.output)
  assert.ok(start.ms < 60_000, `start.sh --demo took ${start.ms} ms`)
  assert.match(start.output, /Front +recording +h264 \S+, aac/)
  assert.match(start.output, /Garage +recording +h264 \S+, pcm_mulaw/)
  assert.doesNotMatch(start.output, /p%40ss|demo\/secret/)
  assert.equal((await stat(envFile)).mode & 0o777, 0o600)

  const [, url = ''] = /ffplay (http\S+\.mp4)/.exec(start.output) ?? []
  const probe = await promisify(execFile)('ffprobe', ['-v', 'error', '-show_format', url])
  assert.match(probe.stdout, /format_name=.*mp4/)

  const status = await runScript('status.sh', [])
  assert.match(status.output, /OK: 2 cameras recording/)
  const stop = await runScript('stop.sh', [], { ENV_FILE: envFile })
  assert.equal(stop.code, 0, stop.output)
  assert.match(stop.output, /Stopped the demo/)
  assert.deepEqual(processesWith(`ENV_FILE=${envFile}`), [])
})

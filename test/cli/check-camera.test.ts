import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type TestContext } from 'node:test'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { checkCamera } from '../../src/cli/check-camera.ts'
import { cachedClip } from '../support/clips.ts'
import { never } from '../uploader/workbench.ts'

const asNew = { video: { codec: 'copy' }, current: undefined, remembered: undefined } as const

async function cameraWith(t: TestContext, gopSeconds: number) {
  const clip = await cachedClip({ gopSeconds, durationSeconds: 5 * gopSeconds, audio: 'none' })
  const emulated = await startRtspCamera({ clip })
  t.after(async () => emulated.close())
  const { url } = emulated
  const camera = { number: 1, name: 'Front', url, transport: 'tcp', audio: 'auto' } as const
  return { emulated, camera }
}

test('the first keyframe counts, though cameras give it no time: every 4 s is not too rare', async (t) => {
  const { camera } = await cameraWith(t, 4)
  const { finding } = await checkCamera(camera, asNew, never)
  assert.equal(finding.is, 'ok', finding.text)
  assert.match(finding.text, / a keyframe every 4\.0 s,/)
})

test('a camera that falls silent while it is watched is a fault', async (t) => {
  const { camera, emulated } = await cameraWith(t, 1)
  const checked = checkCamera(camera, asNew, never)
  await sleep(2000)
  emulated.faults.silent = true
  const { finding } = await checked
  assert.equal(finding.is, 'fault', finding.text)
  assert.match(finding.text, /fell silent after [12] s of video: look at its network/)
})

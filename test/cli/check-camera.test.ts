import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { describe, type TestContext } from 'node:test'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { checkCamera } from '../../src/cli/check-camera.ts'
import type { Camera } from '../../src/recorder/config.ts'
import { cachedClip } from '../support/clips.ts'
import { startTlsFront } from '../support/tls-front.ts'
import { until } from '../system/installation.ts'
import { never } from '../uploader/workbench.ts'

const asNew = { video: { codec: 'copy' }, current: undefined, remembered: undefined } as const

async function cameraWith(t: TestContext, gopSeconds: number) {
  const clip = await cachedClip({ gopSeconds, durationSeconds: 5 * gopSeconds, audio: 'none' })
  const emulated = await startRtspCamera({ clip })
  t.after(async () => emulated.close())
  const { url } = emulated
  const camera = { number: 1, name: 'Front', url, transport: 'tcp', audio: 'auto' } as Camera
  return { emulated, camera }
}

// They mostly wait for a camera.
describe('a look at a camera', { concurrency: 3 }, () => {
  test('the first keyframe counts, though cameras give it no time: every 4 s is not too rare', async (t) => {
    const { camera } = await cameraWith(t, 4)
    const { finding } = await checkCamera(camera, asNew, never)
    assert.equal(finding.is, 'ok', finding.text)
    assert.match(finding.text, / a keyframe every 4\.0 s,/)
  })

  test('a camera that falls silent while it is watched is a fault', async (t) => {
    const { camera, emulated } = await cameraWith(t, 1)
    const checked = checkCamera(camera, asNew, never)
    await until(10_000, 'it plays', () => emulated.playing > 0)
    const playedFrame = emulated.frameNow
    await sleep(2000)
    emulated.faults.silent = true
    const sentSeconds = (emulated.frameNow - playedFrame) / 25
    const { finding } = await checked
    assert.equal(finding.is, 'fault', finding.text)
    const [, said] =
      /fell silent after (\d+) s of video: look at its network/.exec(finding.text) ?? []
    // Video begins with the next keyframe, within a second.
    assert.ok(Math.abs(Number(said) - sentSeconds) < 1.6, `${sentSeconds} s: ${finding.text}`)
  })

  test('a camera whose certificate nobody has signed but itself is recorded over TLS', async (t) => {
    const { camera, emulated } = await cameraWith(t, 1)
    const port = await startTlsFront(t, emulated.port)
    const url = camera.url.replace('rtsp:', 'rtsps:').replace(`:${emulated.port}`, `:${port}`)
    const { finding } = await checkCamera({ ...camera, url }, asNew, never)
    assert.equal(finding.is, 'ok', finding.text)
  })

  test('each kind of refusal is said as what it is', async (t) => {
    const { camera, emulated } = await cameraWith(t, 1)
    const check = async (one: typeof camera): Promise<string> => {
      const { finding } = await checkCamera(one, asNew, never)
      assert.equal(finding.is, 'fault', finding.text)
      return finding.text
    }
    emulated.faults.busy = true
    assert.match(await check(camera), /serves no further session: another program/)
    emulated.faults.busy = false
    emulated.faults.wantsSha256 = true
    assert.match(await check(camera), /asks for a SHA-256 digest, and FFmpeg knows MD5 only/)
    emulated.faults.wantsSha256 = false
    emulated.faults.rtpStops = true
    emulated.faults.rtcpStops = true
    const [overTcp, overUdp] = [check(camera), check({ ...camera, transport: 'udp' })]
    assert.match(await overTcp, /sends no video yet on \/Preview_01_main/)
    assert.match(await overUdp, /over UDP: set CAMERA_1_TRANSPORT=tcp/)
  })
})

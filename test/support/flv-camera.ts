import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { canary, inUrl } from './canaries.ts'

const flvHeaderBytes = 13

/** A camera that sends FLV over HTTP, as many Reolink cameras do beside RTSP: each size for some seconds. */
export async function flvCamera(
  t: TestContext,
  sizes = ['320x180'],
  seconds = 600,
): Promise<string> {
  const server = createServer((_, response) => {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    void sendFlv(response, { sizes, seconds }, gone.signal)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}/flv?app=bcs&user=admin&password=${inUrl(canary())}`
}

async function sendFlv(
  response: ServerResponse,
  { sizes, seconds }: { sizes: string[]; seconds: number },
  signal: AbortSignal,
): Promise<void> {
  for (const [index, size] of sizes.entries()) {
    if (signal.aborted) return
    const input = ['-re', '-f', 'lavfi', '-i', `testsrc2=s=${size}:r=10`, '-t', String(seconds)]
    const coding = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '10']
    const output = ['-output_ts_offset', String(index * seconds), '-f', 'flv', '-']
    const args = ['-v', 'error', ...input, ...coding, ...output]
    const ffmpeg = spawn('ffmpeg', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    signal.addEventListener('abort', () => ffmpeg.kill('SIGKILL'))
    let toSkip = index === 0 ? 0 : flvHeaderBytes
    ffmpeg.stdout.on('data', (piece: Buffer) => {
      response.write(piece.subarray(toSkip))
      toSkip = Math.max(0, toSkip - piece.length)
    })
    await once(ffmpeg, 'close')
  }
  response.end()
}

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { randomInt } from 'node:crypto'

/** A server's two neighbouring UDP ports: RTP on the even one, RTCP on the odd one above it. */
export interface UdpPair {
  rtpPort: number
  sendRtp(packet: Buffer, port: number, host: string): void
  sendRtcp(packet: Buffer, port: number, host: string): void
  close(): void
}

/** Finds a free pair below the ports that the system itself hands out (32768 and up on Linux). */
export async function openUdpPair(): Promise<UdpPair> {
  for (let attempts = 100; ; attempts -= 1) {
    const rtpPort = 20_000 + 2 * randomInt(6000)
    const sockets: Socket[] = []
    try {
      for (const port of [rtpPort, rtpPort + 1]) {
        const socket = createSocket('udp4')
        sockets.push(socket)
        socket.bind(port, '127.0.0.1')
        await once(socket, 'listening')
      }
      return pairOf(sockets[0]!, sockets[1]!, rtpPort)
    } catch (error) {
      for (const socket of sockets) socket.close()
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempts === 0) throw error
    }
  }
}

function pairOf(rtp: Socket, rtcp: Socket, rtpPort: number): UdpPair {
  // A client that is gone answers with ECONNREFUSED; its control connection says so, too.
  for (const socket of [rtp, rtcp]) socket.on('error', () => {})
  return {
    rtpPort,
    sendRtp: (packet, port, host) => rtp.send(packet, port, host),
    sendRtcp: (packet, port, host) => rtcp.send(packet, port, host),
    close() {
      rtp.close()
      rtcp.close()
    },
  }
}

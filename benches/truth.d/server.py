"""A mail server that replies after a random time: server.py PORT TLS_PORT CERTIFICATE_AND_KEY

The number in the name that the client gives in EHLO has no meaning here; the longest time of a reply is the part of it
before the first dot, in ms.
"""

import asyncio
import random
import ssl
import sys


async def serve(reader, writer):
    longest = 0.02

    async def reply(text):
        await asyncio.sleep(random.uniform(longest / 5, longest))
        writer.write(text)

    try:
        await reply(b"220 mx.test ESMTP\r\n")
        while line := await reader.readline():
            match line[:4].upper():
                case b"EHLO":
                    longest = int(line.split()[1].split(b".")[0].removeprefix(b"d")) / 1000
                    await reply(b"250-mx.test\r\n250 SIZE 10485760\r\n")
                case b"DATA":
                    await reply(b"354 go ahead\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    await reply(b"250 2.0.0 Ok: queued as 4F2A81234\r\n")
                case b"QUIT":
                    await reply(b"221 bye\r\n")
                    break
                case _:
                    await reply(b"250 2.1.0 Ok\r\n")
    except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
        pass
    writer.close()


async def main(port, tls_port, pem):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    plain = await asyncio.start_server(serve, "0.0.0.0", port, backlog=1024)
    secure = await asyncio.start_server(serve, "0.0.0.0", tls_port, backlog=1024, ssl=tls)
    await asyncio.gather(plain.serve_forever(), secure.serve_forever())


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))

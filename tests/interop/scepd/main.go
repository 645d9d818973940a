// SPDX-License-Identifier: BSD-2-Clause
//
// scepd: a SCEP server for tests, made of Debian's golang-github-micromdm-scep-dev, which is not ours. What it adds to that
// library: answers in AES-256-CBC (the library's own choice is single DES), and certificates that look like those of a
// derived PIV credential, so that dpiv installs them; with -wait, PENDING and CertPoll (RFC 8894, 3.3.2 and 3.3.3), which the
// library names but does not do. Its signatures use SHA-1, which the library does not let one change.
package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"flag"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"time"

	kitlog "github.com/go-kit/kit/log"
	"github.com/micromdm/scep/v2/scep"
	scepserver "github.com/micromdm/scep/v2/server"
	"go.mozilla.org/pkcs7"
)

type issuer struct {
	ca  *x509.Certificate
	key crypto.Signer
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func block(file string) []byte {
	text, err := os.ReadFile(file)
	check(err)
	b, _ := pem.Decode(text)
	if b == nil {
		log.Fatal(file, ": no PEM")
	}
	return b.Bytes
}

func rsaKey(file string) *rsa.PrivateKey {
	key, err := x509.ParsePKCS8PrivateKey(block(file))
	check(err)
	return key.(*rsa.PrivateKey)
}

func number(bits uint) *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits))
	check(err)
	return n
}

// SignCSR is the library's hook: a request that it has opened and whose challenge is right.
func (i *issuer) SignCSR(m *scep.CSRReqMessage) (*x509.Certificate, error) {
	if err := m.CSR.CheckSignature(); err != nil {
		return nil, errors.New("the request's own signature is wrong")
	}
	uuid := make([]byte, 16)
	_, err := rand.Read(uuid)
	check(err)
	urn, err := url.Parse("urn:uuid:" + format(uuid))
	check(err)
	usage, err := asn1.Marshal(asn1.BitString{Bytes: []byte{0x80}, BitLength: 1})
	check(err)
	template := &x509.Certificate{
		SerialNumber:          number(120),
		RawSubject:            m.CSR.RawSubject,
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(90 * 24 * time.Hour),
		BasicConstraintsValid: true,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		PolicyIdentifiers:     []asn1.ObjectIdentifier{{2, 16, 840, 1, 101, 3, 2, 1, 3, 40}},
		URIs:                  []*url.URL{urn},
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: usage}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.ca, m.CSR.PublicKey, i.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// patient answers a request with PENDING, and the first polls too, before the library's answer.
type patient struct {
	scepserver.Service
	cert   *x509.Certificate
	key    *rsa.PrivateKey
	wait   int
	kept   map[string][]byte
	polls  map[string]int
	signer scepserver.CSRSigner
}

func attribute(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, n} // 2 messageType, 3 pkiStatus, 5, 6 nonces, 7 transactionID
}

func (p *patient) pending(id string, nonce []byte) ([]byte, error) {
	answer, err := pkcs7.NewSignedData(nil)
	if err != nil {
		return nil, err
	}
	err = answer.AddSigner(p.cert, p.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: []pkcs7.Attribute{
		{Type: attribute(2), Value: "3"}, {Type: attribute(3), Value: "3"}, {Type: attribute(7), Value: id},
		{Type: attribute(5), Value: nonce}, {Type: attribute(6), Value: nonce}}})
	if err != nil {
		return nil, err
	}
	return answer.Finish()
}

// PKIOperation keeps a request; the poll that is answered gets the certificate under its own nonce.
func (p *patient) PKIOperation(ctx context.Context, data []byte) ([]byte, error) {
	message, err := pkcs7.Parse(data)
	if err != nil {
		return nil, err
	}
	if err = message.Verify(); err != nil {
		return nil, err
	}
	var id, kind string
	var nonce []byte
	for n, value := range map[int]interface{}{2: &kind, 5: &nonce, 7: &id} {
		if err = message.UnmarshalSignedAttribute(attribute(n), value); err != nil {
			return nil, err
		}
	}
	log.Print("message type ", kind)
	if kind != "20" {
		p.kept[id], p.polls[id] = data, 0
		return p.pending(id, nonce)
	}
	p.polls[id]++
	if p.kept[id] == nil {
		return nil, errors.New("a poll for nothing")
	}
	if p.polls[id] < p.wait {
		return p.pending(id, nonce)
	}
	request, err := scep.ParsePKIMessage(p.kept[id])
	if err != nil {
		return nil, err
	}
	if err = request.DecryptPKIEnvelope(p.cert, p.key); err != nil {
		return nil, err
	}
	cert, err := p.signer.SignCSR(request.CSRReqMessage)
	if err != nil {
		return nil, err
	}
	request.SenderNonce = nonce
	answer, err := request.Success(p.cert, p.key, cert)
	if err != nil {
		return nil, err
	}
	return answer.Raw, nil
}

func format(b []byte) string {
	const hex = "0123456789abcdef"
	s := ""
	for n, v := range b {
		if n == 4 || n == 6 || n == 8 || n == 10 {
			s += "-"
		}
		s += string(hex[v>>4]) + string(hex[v&15])
	}
	return s
}

func main() {
	address := flag.String("listen", "127.0.0.1:8080", "")
	caFile := flag.String("ca", "", "PEM certificate of the CA")
	keyFile := flag.String("key", "", "its RSA key, PKCS #8 PEM")
	raFile := flag.String("ra", "", "PEM certificate of an RA")
	raKeyFile := flag.String("rakey", "", "its RSA key, PKCS #8 PEM")
	challenge := flag.String("challenge", "", "the challengePassword to demand")
	wait := flag.Int("wait", 0, "answer PENDING, and the certificate at this poll")
	flag.Parse()

	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	ca, err := x509.ParseCertificate(block(*caFile))
	check(err)
	key := rsaKey(*keyFile)
	logger := kitlog.NewLogfmtLogger(os.Stderr)
	signer := scepserver.ChallengeMiddleware(*challenge, &issuer{ca, key})
	options := []scepserver.ServiceOption{scepserver.WithLogger(logger)}
	front, frontKey := ca, key
	if *raFile != "" { // an RA talks to the world
		front, err = x509.ParseCertificate(block(*raFile))
		check(err)
		frontKey = rsaKey(*raKeyFile)
		options = append(options, scepserver.WithAddlCA(ca))
	}
	service, err := scepserver.NewService(front, frontKey, signer, options...)
	check(err)
	if *wait > 0 {
		service = &patient{service, front, frontKey, *wait, map[string][]byte{}, map[string]int{}, signer}
	}
	handler := scepserver.MakeHTTPHandler(scepserver.MakeServerEndpoints(service), service, logger)
	if *wait > 0 {
		inner := handler
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "1")
			inner.ServeHTTP(w, r)
		})
	}
	log.Print("ready")
	check(http.ListenAndServe(*address, handler))
}

// SPDX-License-Identifier: BSD-2-Clause
// EstClient HOST:PORT ROOT.pem CARD.p12|- 1.2|1.3 plain|bind: Bouncy Castle's EST client asks for the CA certificates and
// enrols a fresh EC key, whose certificate it writes to standard output. The PKCS #12 password is "x"; "-" shows no card.
// "bind" puts tls-unique into the request (RFC 7030, 3.5), which exists up to TLS 1.2.
import java.io.FileInputStream;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.Base64;
import java.util.HashSet;
import java.util.Set;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.est.ESTException;
import org.bouncycastle.est.ESTService;
import org.bouncycastle.est.EnrollmentResponse;
import org.bouncycastle.est.jcajce.ChannelBindingProvider;
import org.bouncycastle.est.jcajce.JcaJceUtils;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.jsse.BCSSLSocket;
import org.bouncycastle.jsse.provider.BouncyCastleJsseProvider;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequestBuilder;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;

public class EstClient {
	static final char[] PASSWORD = "x".toCharArray();

	static Set<TrustAnchor>
	anchors(String file) throws Exception {
		Set<TrustAnchor> set = new HashSet<>();

		for (Certificate c : CertificateFactory.getInstance("X.509").generateCertificates(new FileInputStream(file)))
			set.add(new TrustAnchor((X509Certificate)c, null));
		return set;
	}

	static KeyManager[]
	keys(String file) throws Exception {
		KeyStore store = KeyStore.getInstance("PKCS12");
		KeyManagerFactory factory = KeyManagerFactory.getInstance("PKIX", "BCJSSE");

		store.load(new FileInputStream(file), PASSWORD);
		factory.init(store, PASSWORD);
		return factory.getKeyManagers();
	}

	static class TlsUnique implements ChannelBindingProvider {
		public boolean
		canAccessChannelBinding(java.net.Socket s) {
			return s instanceof BCSSLSocket;
		}

		public byte[]
		getChannelBinding(java.net.Socket s, String name) {
			return ((BCSSLSocket)s).getConnection().getChannelBinding(name);
		}
	}

	static ESTService
	service(String[] a) throws Exception {
		JsseESTServiceBuilder b =
		    new JsseESTServiceBuilder(a[0], JcaJceUtils.getCertPathTrustManager(anchors(a[1]), null));

		if (!a[2].equals("-"))
			b.withKeyManagers(keys(a[2]));
		return b.withTLSVersion("TLSv" + a[3]).withProvider("BCJSSE").withChannelBindingProvider(new TlsUnique()).build();
	}

	static EnrollmentResponse
	enrol(ESTService est, boolean bind) throws Exception {
		KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");

		generator.initialize(256);
		KeyPair pair = generator.generateKeyPair();
		PKCS10CertificationRequestBuilder csr =
		    new JcaPKCS10CertificationRequestBuilder(new X500Name("CN=root"), pair.getPublic());
		ContentSigner signer = new JcaContentSignerBuilder("SHA256withECDSA").build(pair.getPrivate());
		return bind ? est.simpleEnrollPoP(false, csr, signer, null) : est.simpleEnroll(false, csr.build(signer), null);
	}

	public static void
	main(String[] a) throws Exception {
		Security.addProvider(new BouncyCastleProvider());
		Security.insertProviderAt(new BouncyCastleJsseProvider(), 1);
		try {
			ESTService est = service(a);

			System.err.println("cacerts: " + ESTService.storeToArray(est.getCACerts().getCertificateStore()).length);
			for (X509CertificateHolder c : ESTService.storeToArray(enrol(est, a[4].equals("bind")).getStore()))
				System.out.print("-----BEGIN CERTIFICATE-----\n" +
				    Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(c.getEncoded()) +
				    "\n-----END CERTIFICATE-----\n");
		} catch (ESTException e) {
			System.err.println(e.getMessage());
			System.exit(1);
		}
	}
}

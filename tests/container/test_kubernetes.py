"""deploy/kubernetes/gowsgi.yaml: what it tells the cluster is what gowsgi does."""

import os
import re
import unittest

import sample
import yaml
from box import Box
from image import TOP


def documents():
    with open(os.path.join(TOP, "deploy", "kubernetes", "gowsgi.yaml")) as file:
        return {one["kind"]: one for one in yaml.safe_load_all(file)}


class TestKubernetes(unittest.TestCase):
    def setUp(self):
        self.documents = documents()
        self.pod = self.documents["Deployment"]["spec"]["template"]
        self.container = self.pod["spec"]["containers"][0]

    def start(self, image):
        """The container as the cluster would start it."""
        folders = []
        for volume in self.container["volumeMounts"]:
            folders.append(volume["mountPath"])
        env = {one["name"]: one["value"] for one in self.container["env"]}
        box = Box(image, *self.container["args"], env=env, tmpfs=folders)
        box.__enter__()
        self.addCleanup(box.__exit__)
        return box.ready()

    def port(self, name):
        (port,) = [p for p in self.container["ports"] if p["name"] == name]
        return port["containerPort"]

    def test_selectors_find_the_pods(self):
        labels = self.pod["metadata"]["labels"]
        for selector in (
            self.documents["Deployment"]["spec"]["selector"]["matchLabels"],
            self.documents["Service"]["spec"]["selector"],
            self.documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        ):
            self.assertEqual(selector, labels)
        replicas = self.documents["Deployment"]["spec"]["replicas"]
        budget = self.documents["PodDisruptionBudget"]["spec"]["minAvailable"]
        self.assertLess(budget, replicas)

    def test_user_is_that_of_the_image(self):
        user, group = sample.gowsgi().config.user.split(":")
        context = self.pod["spec"]["securityContext"]
        asked = (str(context["runAsUser"]), str(context["runAsGroup"]))
        self.assertEqual(asked, (user, group))
        self.assertTrue(context["runAsNonRoot"])
        self.assertTrue(self.container["securityContext"]["readOnlyRootFilesystem"])

    def test_probes_get_their_answers_and_the_pod_drains(self):
        box = self.start(sample.flask())
        (service,) = self.documents["Service"]["spec"]["ports"]
        self.assertEqual(
            box.ask("/hello", port=self.port(service["targetPort"]))[0], 200
        )

        def probe(name):
            of = self.container[name]["httpGet"]
            return box.ask(of["path"], port=self.port(of["port"]))[0]

        names = ("startupProbe", "readinessProbe", "livenessProbe")
        self.assertEqual([probe(name) for name in names], [200, 200, 200])
        box.signal("SIGTERM")
        box.stderr.wait_for("--drain-delay")
        self.assertEqual([probe(name) for name in names], [503, 503, 200])
        self.assertEqual(box.ask("/hello")[0], 200)
        self.assertEqual(box.stop(), 0)

    def test_times_fit_those_of_gowsgi(self):
        box = self.start(sample.flask())
        command = [*box.config.entrypoint, "--print-config", *self.container["args"]]
        code, text = box.execute(*command)
        self.assertEqual(code, 0, text)

        def setting(name):
            return float(re.search(rf'^{name} = "?([\d.]+)', text, re.MULTILINE)[1])

        def longest(name):
            probe = self.container[name]
            return probe["periodSeconds"] * probe["failureThreshold"]

        stop = setting("drain-delay") + setting("graceful-timeout")
        self.assertGreater(self.pod["spec"]["terminationGracePeriodSeconds"], stop)
        self.assertGreater(setting("drain-delay"), longest("readinessProbe"))
        self.assertGreater(longest("startupProbe"), setting("startup-timeout"))
        self.assertEqual(box.stop(), 0)

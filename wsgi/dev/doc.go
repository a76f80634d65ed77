// Package dev is what a development server shows beside the application's own
// answers: pages about failures, and the script that has open pages refresh
// themselves. It knows HTTP as package wsgi does, and nothing of processes.
package dev
